// Outputs of deleted experiments.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace riseml::agent {

// Removes `item`, "USER/PROJECT/N", from the output volume; OK when it is gone already. INVALID_ARGUMENT for any other
// form, FAILED_PRECONDITION when a link leads elsewhere on the way.
absl::Status RemoveOutput(const std::string& volume, const std::string& item);

}  // namespace riseml::agent
