// `riseml-agent run`: makes the processes of one attempt, and says how they ended.
//
// One shell runs all commands (shell_driver.h). What they print comes through a pipe and is appended to the log file
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
  int network_ready = -1;  // with a network of the job's own: a pipe that says "1" when it leads out
  int network_alive = -1;  // with a network of the job's own: keeps it, is never written to
};

// Numbers under which node hands the files to `run`.
inline constexpr RunFiles kInheritedFiles = {
    .log = 3, .journal = 4, .results = 5, .output_read = 6, .output_write = 7, .network_ready = 8, .network_alive = 9};

// Runs the plan `dir`/run.pb to its end; the socket for results is `dir`/socket. Returns OK without doing anything when
// the attempt has begun before. SIGTERM and SIGINT ask for a stop. Uses signals and waits for children: the process
// does nothing else.
absl::Status RunAttempt(const std::string& dir, const RunFiles& files, const Clock& clock);

// The same with the files `dir`/log, `dir`/journal and `dir`/results, and the pipe `dir`/output.
absl::Status RunAttempt(const std::string& dir, const Clock& clock);

}  // namespace riseml::agent
