// Opens files in a directory that somebody else writes to. Links do not lead out of it, and pipes do not block.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/base/files/file.h"

namespace riseml {

// Opens `path` below the directory `top`, with O_CLOEXEC and O_NONBLOCK. An error when it or a directory on the way is
// a link or leads out of `top`.
absl::StatusOr<UniqueFd> OpenBeneath(int top, const std::string& path, int flags);

// Removes the file or link `path` below `top`. Absent: nothing to do.
absl::Status RemoveBeneath(int top, const std::string& path);

}  // namespace riseml
