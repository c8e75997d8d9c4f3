// Programs that a job finds on its PATH besides those of its environment and of the system.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace riseml::agent {

// Directory of RiseML's own programs, below the control directory of the attempt. It is separate from the directory
// `bin`, whose `python` must not be on the PATH of jobs with an environment.
inline constexpr char kToolsDirectory[] = "tools";

// Makes `python` and `python3` in the directory `bin` of `control`, for jobs without an environment. They are links to
// the interpreter `python` of the machine. Start-up files tell it where the package `riseml` is; PYTHONPATH and -I do
// not change that. If `home`, the job's HOME, is not empty, files in it let the interpreter find the package also when
// it is called by its own path. May be called again.
absl::Status PlaceInterpreter(const std::string& control, const std::string& home, const std::string& python,
                              const std::string& python_client);

// Writes the programs of RiseML. `job` is the path of riseml-job as the job sees it. May be called again.
absl::Status PlaceJobTools(const std::string& control, const std::string& job);

}  // namespace riseml::agent
