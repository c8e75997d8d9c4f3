// Makes a process of the invoking user a process of the installation's account.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/supervisor/install/account.h"
#include "services/supervisor/install/layout.h"
#include "services/supervisor/install/programs.h"

namespace riseml::supervisor {

// If this process has root's rights, makes the account the owner of the installation and ensures that the account can
// reach its directory and `programs`, whose paths may change. Then gives up root's rights. Must be called in a separate
// process with one thread.
absl::StatusOr<Layout> EnterAccount(const Account& account, const std::string& dir, Programs* programs,
                                    RootRights rights);

}  // namespace riseml::supervisor
