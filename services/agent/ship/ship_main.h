// `riseml-agent ship --dir D`.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace riseml::agent {

// Number of the descriptor by which node passes the log, open for reading and writing, to `ship`.
inline constexpr int kInheritedShipLog = 3;

// Ships the attempt in `dir` until everything is stored, or until SIGTERM. `log_fd` is the log file; -1: it is opened
// by name. Returns OK at once when another process ships this attempt.
absl::Status ShipAttempt(const std::string& dir, int log_fd);

}  // namespace riseml::agent
