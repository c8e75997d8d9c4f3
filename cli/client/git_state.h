// State of the user's own git repository: commit, branch, changes.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/v1/experiment.pb.h"

namespace riseml::cli {

// Asks the program git about the work tree that `directory` lies in. nullopt: it lies in none. UNAVAILABLE if git is
// not installed, does not answer within 10 s, or refuses.
absl::StatusOr<std::optional<v1::GitState>> ReadGitState(const std::string& directory);

// Takes apart what `git describe --tags --long --always --dirty --abbrev=40` prints. Pure.
v1::GitState ParseDescribe(absl::string_view line);

// The name in section [project] of a pyproject.toml, or in [metadata] of a setup.cfg; empty if there is none. Pure.
std::string PackageName(absl::string_view text);

}  // namespace riseml::cli
