// An installation below a directory that only root can enter: the supervised processes see it at another path.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/supervisor/install/account.h"

namespace riseml::supervisor {

// The path by which the account reaches `dir`. That is `dir` itself where the account can enter it; otherwise this
// process moves into a mount namespace of its own, in which the directory is mounted at /run/riseml/HASH as well.
// Nothing changes for other processes; the mount goes with the last process that has the namespace. PERMISSION_DENIED
// names the directory in the way where mounting is not allowed. To be called by root, with one thread, in the process
// whose children need it.
absl::StatusOr<std::string> ReachablePath(const Account& account, const std::string& dir);

}  // namespace riseml::supervisor
