// Mount for an installation below a directory that only root can enter: supervised processes see it at another path.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/supervisor/install/account.h"

namespace riseml::supervisor {

// Returns the path by which the account reaches `dir`. This is `dir` itself if the account can enter it. Otherwise this
// process moves into its own mount namespace, in which the directory is also mounted at /run/riseml/HASH. Nothing
// changes for other processes; the mount disappears with the last process in the namespace. PERMISSION_DENIED names the
// obstructing directory if mounting is not allowed. Must be called by root, with one thread, in the process whose
// children need the path.
absl::StatusOr<std::string> ReachablePath(const Account& account, const std::string& dir);

}  // namespace riseml::supervisor
