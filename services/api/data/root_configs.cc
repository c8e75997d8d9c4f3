#include "services/api/data/root_configs.h"

#include <set>

#include "services/api/data/views.h"
#include "services/common/sql/statement.h"

namespace riseml::api {

std::map<std::string, RootConfig> LoadRootConfigs(pqxx::transaction_base& tx, const pqxx::result& rows, int column,
                                                  bool with_text) {
  std::set<std::string> roots;
  for (const auto& row : rows) roots.insert(row[column].as<std::string>());
  std::map<std::string, RootConfig> out;
  if (roots.empty()) return out;
  for (const auto& row : sql::Query(
           tx,
           "SELECT uid, spec, CASE WHEN $2 THEN config_text ELSE '' END FROM experiments WHERE uid = ANY($1::uuid[])",
           ArrayLiteral({roots.begin(), roots.end()}), with_text)) {
    RootConfig& config = out[row[0].as<std::string>()];
    config.spec.ParseFromString(pqxx::binarystring(row[1]).str());
    config.text = row[2].as<std::string>();
  }
  return out;
}

}  // namespace riseml::api
