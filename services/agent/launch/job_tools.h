// Programs that a job finds on its PATH besides those of its environment and of the system.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace riseml::agent {

// Directory of RiseML's own programs, below the control directory of the attempt. It is not the `bin` beside it: that
// holds a `python`, which must not be found behind an environment's.
inline constexpr char kToolsDirectory[] = "tools";

// Makes `python` and `python3` in the directory `bin` of `control`, for jobs without an environment: the interpreter
// `python` of the machine under its usual names, told where the package `riseml` is in a way that PYTHONPATH and -I do
// not change, by files for its start. `home`: the interpreter finds the package by its own path too, through files in
// the job's HOME; empty: it does not. May be done again.
absl::Status PlaceInterpreter(const std::string& control, const std::string& home, const std::string& python,
                              const std::string& python_client);

// Writes the programs of RiseML. `agent` is the path of this program as the job sees it. May be done again.
absl::Status PlaceJobTools(const std::string& control, const std::string& agent);

}  // namespace riseml::agent
