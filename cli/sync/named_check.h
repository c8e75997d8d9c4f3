// Compares the files that commands name with those that are uploaded.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/sync/snapshot.h"

namespace riseml::sync {

// INVALID_ARGUMENT when a command names a file of the project that was left out; the message says why, and which line
// brings it back. Also for a script that exists only above the project, while the project holds neither riseml.yml nor
// .git. Left-out directories, other scripts that exist only above the project, and scripts that exist nowhere add a
// sentence to `notes`.
absl::Status CheckNamedFiles(const Snapshot& snapshot, const std::vector<std::string>& commands,
                             std::vector<std::string>& notes);

}  // namespace riseml::sync
