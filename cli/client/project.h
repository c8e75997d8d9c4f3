// Finds the project that a user stands in.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::cli {

inline constexpr char kConfigName[] = "riseml.yml";
// The configuration of an experiment as its output holds it.
inline constexpr char kStoredConfigName[] = "riseml-experiment.yml";

// The riseml.yml of the current directory or of the nearest one above it, as a path to open. Like git, it looks no
// further than the directory that holds .git, and takes none from the home directory unless that is where the user
// stands. Empty when there is none.
std::string FindConfig();

// `given` as it is, but "riseml.yml" that is not here is looked for upwards.
std::string ConfigPath(const std::string& given);

// The directory whose files belong to a configuration: the nearest one, from that of the file upwards, that holds
// riseml.yml or .git; when there is none, that of the file. The home directory and "/" are taken only when the file
// lies in them. A stored configuration belongs to no directory: the current one counts then.
absl::StatusOr<std::string> ProjectRoot(const std::string& config);

}  // namespace riseml::cli
