#include "services/api/experiment/kills.h"

#include <utility>
#include <vector>

#include "services/api/data/states.h"
#include "services/common/base/log.h"
#include "services/common/base/status_macros.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

// Marked sets with children that are not marked yet, and who killed them.
constexpr char kSelectUnfinishedKills[] = R"sql(
  SELECT e.uid, COALESCE((SELECT max(j.killed_by) FROM jobs j WHERE j.root_uid = e.uid), '')
  FROM experiments e
  WHERE e.child = 0 AND e.kill_wanted AND e.kind = 'SET' AND e.state NOT IN ('FINISHED', 'FAILED', 'KILLED')
    AND EXISTS (
      SELECT 1
      FROM experiments c
      WHERE c.root_uid = e.uid AND NOT c.kill_wanted AND c.state NOT IN ('FINISHED', 'FAILED', 'KILLED'))
)sql";

}  // namespace

absl::Status KillChildren(Database& db, const std::string& root_uid, const std::string& actor) {
  for (std::int64_t first = 1;; first += kChildrenKilledAtOnce) {
    const absl::StatusOr<bool> more = db.Write("kill children", [&](pqxx::work& tx) -> absl::StatusOr<bool> {
      if (!LockRoot(tx, root_uid)) return false;
      const pqxx::row set =
          sql::QueryRow(tx, "SELECT state, kill_wanted, child_count FROM experiments WHERE uid = $1", root_uid);
      const bool open = !IsTerminal(ParseExperimentState(set[0].c_str())) && set[1].as<bool>();
      if (!open || first > set[2].as<std::int64_t>()) return false;
      Kill(tx, root_uid, {first, first + kChildrenKilledAtOnce - 1}, actor);
      return true;
    });
    RISEML_RETURN_IF_ERROR(more.status());
    if (!*more) return absl::OkStatus();
  }
}

absl::Status ResumeKills(Database& db) {
  using Kills = std::vector<std::pair<std::string, std::string>>;  // set, user
  RISEML_ASSIGN_OR_RETURN(const Kills kills, db.Read("look for kills", [](pqxx::work& tx) -> absl::StatusOr<Kills> {
    Kills found;
    for (const auto& row : sql::Query(tx, kSelectUnfinishedKills))
      found.emplace_back(row[0].as<std::string>(), row[1].as<std::string>());
    return found;
  }));
  for (const auto& [root_uid, actor] : kills) {
    LogInfo("kill_resumed", {{"experiment", root_uid}, {"user", actor}});
    RISEML_RETURN_IF_ERROR(KillChildren(db, root_uid, actor));
  }
  return absl::OkStatus();
}

}  // namespace riseml::api
