// What a set and all its children share: the configuration of the root.
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

// Of the roots named in a column of `rows`, by UUID. A configuration may be large: it is read once, whatever is read of
// the set.
std::map<std::string, RootConfig> LoadRootConfigs(pqxx::transaction_base& tx, const pqxx::result& rows, int column,
                                                  bool with_text);

}  // namespace riseml::api
