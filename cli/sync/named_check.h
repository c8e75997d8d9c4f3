// Compares the files that commands name with those that are uploaded.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/sync/snapshot.h"

namespace riseml::sync {

// INVALID_ARGUMENT when a command names a file that lies in the project and was left out: says why, and the line that
// brings it back; or a script that lies above the project only, while the project holds neither riseml.yml nor .git.
// Directories that were left out, other scripts that lie above the project only, and scripts that exist nowhere add a
// sentence to `notes`.
absl::Status CheckNamedFiles(const Snapshot& snapshot, const std::vector<std::string>& commands,
                             std::vector<std::string>& notes);

}  // namespace riseml::sync
