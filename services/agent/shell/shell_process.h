// Starts the shells of an attempt.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/attempt_files.pb.h"

namespace riseml::agent {

// Starts a command line as a child with the plan's variables, working directory and processors, in its own session, and
// with a lower processor priority than services. It has no input and prints to `output`.
absl::StatusOr<pid_t> StartShellProcess(const internal::v1::RunPlan& plan, std::vector<std::string> words, int output);

}  // namespace riseml::agent
