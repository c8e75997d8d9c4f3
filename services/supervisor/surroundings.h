// What a local installation takes from the environment of who types `riseml up`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "riseml/config/v1/supervisor.pb.h"

namespace riseml::supervisor {

// Directories in or below which interpreters of Python lie: those on PATH, of pyenv and of uv.
std::vector<std::string> InterpreterDirs();

// Keeps the limits of RISEML_ENVIRONMENTS_MAX_DAYS and RISEML_ENVIRONMENTS_MAX_GB, where they are set: whole numbers,
// -1 for no limit. INVALID_ARGUMENT.
absl::Status TakeEnvironmentLimits(config::v1::SupervisorState* state);

// Keeps the directories of `riseml up --data NAME=PATH` and makes what they are mounted on below `data_dir`; "NAME="
// takes one away. A link of that name in `data_dir` gives way. INVALID_ARGUMENT, with what to do, if a directory cannot
// be used.
absl::Status TakeDataPaths(const std::vector<std::string>& given, const std::string& data_dir,
                           config::v1::SupervisorState* state);

}  // namespace riseml::supervisor
