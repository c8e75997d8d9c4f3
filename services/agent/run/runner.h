// `riseml-agent run`: starts the processes of one attempt and records how they ended.
//
// One shell runs all commands (shell_driver.h). Their output comes through a pipe and is appended to the log file
// (output_pipe.h): the offset in the file is the offset in the log.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/common/base/clock.h"

namespace riseml::agent {

// Files of an attempt that `run` writes, opened for appending (the journal for reading too), and the pipe it reads.
struct RunFiles {
  int log = -1;
  int journal = -1;
  int results = -1;
  int output_read = -1;
  int output_write = -1;
  int network_ready = -1;  // only with the job's own network: a pipe that gets "1" once it is connected
  int network_alive = -1;  // only with the job's own network: keeps it connected; never written to
};

// Numbers of the descriptors by which node passes the files to `run`.
inline constexpr RunFiles kInheritedFiles = {
    .log = 3, .journal = 4, .results = 5, .output_read = 6, .output_write = 7, .network_ready = 8, .network_alive = 9};

// Runs the plan `dir`/run.pb to its end; the socket for results is `dir`/socket. Returns OK without an effect if the
// attempt has begun before. SIGTERM and SIGINT request a stop. Uses signals and waits for children, so the process must
// do nothing else.
absl::Status RunAttempt(const std::string& dir, const RunFiles& files, const Clock& clock);

// The same with the files `dir`/log, `dir`/journal and `dir`/results, and the pipe `dir`/output.
absl::Status RunAttempt(const std::string& dir, const Clock& clock);

}  // namespace riseml::agent
