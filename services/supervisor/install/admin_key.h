// Makes a new API key for an owner of an installation who has lost the administrator's key.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/supervisor/install/programs.h"

namespace riseml::supervisor {

// Has api make a further key for user admin and leaves it as the pending key of the installation (Layout::PendingKey).
// This gives no new rights: anyone who can write to the directory owns the installation. FAILED_PRECONDITION if the
// installation is not up.
absl::Status MakeAdminKey(const std::string& dir, Programs programs);

}  // namespace riseml::supervisor
