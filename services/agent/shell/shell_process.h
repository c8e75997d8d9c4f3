// Starts the shells of an attempt.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/attempt_files.pb.h"

namespace riseml::agent {

// Starts a command line as a child with the plan's variables, working directory and processors, in a session of its
// own, and with less weight on the processors than services have. It reads nothing and prints into `output`.
absl::StatusOr<pid_t> StartShellProcess(const internal::v1::RunPlan& plan, std::vector<std::string> words, int output);

// Has the session of a shell give way to services where the system shares out processors by session (autogroups).
// False: ask again in 100 ms, as the system takes ten such wishes a second from everybody together.
bool GiveWayToServices(pid_t shell);

}  // namespace riseml::agent
