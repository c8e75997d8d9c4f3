// Reads settings of a local installation from the environment of the user who runs `riseml up`.
//
// A variable that is not set, or is empty, leaves its setting as it was at the last start.
#pragma once

#include "absl/status/status.h"
#include "riseml/config/v1/supervisor.pb.h"

namespace riseml::supervisor {

// Stores what these variables say; INVALID_ARGUMENT, with an example, for other values:
//   RISEML_ENVIRONMENTS_MAX_DAYS, RISEML_ENVIRONMENTS_MAX_GB, RISEML_USER_MAX_EXPERIMENTS   a whole number; -1: no
//   limit RISEML_USER_MAX_BYTES, RISEML_BUILD_MAX_BYTES   a size such as 500G; -1: no limit RISEML_BUILD_MAX_TIME   a
//   time such as 90m, between 1s and 24h RISEML_BUILD_NETWORK   "on" or "off": install steps of images have a network
//   RISEML_ALLOWED_REGISTRIES, RISEML_PRIVATE_REGISTRIES, RISEML_REGISTRIES_WITHOUT_TLS   registries as images name
//   them,
//       separated by commas; "-": none are listed
// The last four need an installation whose jobs run in containers.
absl::Status TakeSettings(config::v1::SupervisorState* state);

}  // namespace riseml::supervisor
