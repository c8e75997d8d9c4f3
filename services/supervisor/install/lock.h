// Lock on an installation: its supervisor holds run/lock. The lock ends with the process that holds it.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "services/common/base/files/file.h"

namespace riseml::supervisor {

// The lock of the installation in `dir`; absent when another process holds it.
absl::StatusOr<std::optional<UniqueFd>> TryLock(const std::string& dir);

}  // namespace riseml::supervisor
