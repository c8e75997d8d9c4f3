// `riseml-agent node --config FILE`.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/agent/node/inventory.h"

namespace riseml::agent {

// Serves until SIGTERM or SIGINT; the attempts continue after that. With `check_only`, only reads and checks the
// configuration.
absl::Status RunNode(const std::string& config_file, bool check_only);

}  // namespace riseml::agent
