// Turns the invoking user's process into one of the installation's account.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/supervisor/install/account.h"
#include "services/supervisor/install/layout.h"
#include "services/supervisor/install/programs.h"

namespace riseml::supervisor {

// Does what needs root's rights, if this process has them, and gives them up for good: hands the installation over to
// the account and sees to it that the account reaches its directory and `programs`, whose paths may change. To be
// called in a process of its own with one thread.
absl::StatusOr<Layout> EnterAccount(const Account& account, const std::string& dir, Programs* programs);

}  // namespace riseml::supervisor
