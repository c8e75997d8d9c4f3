// A way back for the owner of an installation who has lost the administrator's API key.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/supervisor/install/programs.h"

namespace riseml::supervisor {

// Has api make a further key for user admin and leaves it as the pending key of the installation (Layout::PendingKey).
// Whoever may write the directory owns the installation anyway. FAILED_PRECONDITION when the installation is not up.
absl::Status MakeAdminKey(const std::string& dir, Programs programs);

}  // namespace riseml::supervisor
