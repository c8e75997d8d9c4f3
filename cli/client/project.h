// Finds the project of the current directory.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::cli {

inline constexpr char kConfigName[] = "riseml.yml";
// The configuration of an experiment as its output holds it.
inline constexpr char kStoredConfigName[] = "riseml-experiment.yml";

// The riseml.yml of the current directory or of the nearest one above it, as a path to open. Like git, it looks no
// further than the directory that holds .git, and takes none from the home directory unless that is the current
// directory. Empty when there is none.
std::string FindConfig();

// Returns `given`; if it is "riseml.yml" and absent here, searches the directories above for it.
std::string ConfigPath(const std::string& given);

// Returns the directory whose files belong to a configuration: the nearest one that holds riseml.yml or .git, from the
// file's directory upwards; if there is none, the file's directory. Takes the home directory and "/" only if the file
// lies in them. Returns the current directory for a stored configuration, which belongs to none.
absl::StatusOr<std::string> ProjectRoot(const std::string& config);

}  // namespace riseml::cli
