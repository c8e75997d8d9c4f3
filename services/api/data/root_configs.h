// Loads the configuration that a set shares with all its children.
#pragma once

#include <map>
#include <pqxx/pqxx>
#include <string>

#include "riseml/v1/experiment.pb.h"

namespace riseml::api {

struct RootConfig {
  v1::TrainSpec spec;
  std::string text;  // of the file, as it was sent
};

// Loads the configurations of the roots named in a column of `rows`, by UUID. Reads each only once, as a
// configuration may be large.
std::map<std::string, RootConfig> LoadRootConfigs(pqxx::transaction_base& tx, const pqxx::result& rows, int column,
                                                  bool with_text);

}  // namespace riseml::api
