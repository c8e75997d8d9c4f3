// Reads what a local installation takes from the environment of the user who types `riseml up`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// Directories in or below which interpreters of Python lie: those on PATH, of pyenv and of uv.
std::vector<std::string> InterpreterDirs();

// Keeps the limits of RISEML_ENVIRONMENTS_MAX_DAYS, RISEML_ENVIRONMENTS_MAX_GB and RISEML_USER_MAX_EXPERIMENTS, whole
// numbers, and of RISEML_USER_MAX_BYTES, a size, where they are set; -1 for no limit. INVALID_ARGUMENT.
absl::Status TakeLimits(config::v1::SupervisorState* state);

// Keeps the directories of `riseml up --data NAME=PATH` and makes what they are mounted on below the data directory;
// "NAME=" takes one away. A link of that name gives way. INVALID_ARGUMENT, with what to do, if a directory cannot
// be used: it is not there, it is closed to the services, or jobs would read the keys of the installation in it.
absl::Status TakeDataPaths(const std::vector<std::string>& given, const Layout& layout,
                           config::v1::SupervisorState* state);

}  // namespace riseml::supervisor
