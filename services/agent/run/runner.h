// `riseml-job run`: starts the processes of one attempt and records how they ended.
//
// One shell runs all commands (shell_driver.h). Their output comes through a pipe and is appended to the log file
// (output_pipe.h): the offset in the file is the offset in the log.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/agent/run/run_files.h"
#include "services/common/base/clock.h"

namespace riseml::agent {

// Runs the plan `dir`/run.pb to its end; the socket for results is `dir`/socket. Returns OK without an effect if the
// attempt has begun before. SIGTERM and SIGINT request a stop. Uses signals and waits for children, so the process must
// do nothing else.
absl::Status RunAttempt(const std::string& dir, const RunFiles& files, const Clock& clock);

// The same with the files `dir`/log, `dir`/journal and `dir`/results, and the pipe `dir`/output.
absl::Status RunAttempt(const std::string& dir, const Clock& clock);

}  // namespace riseml::agent
