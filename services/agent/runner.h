// `riseml-agent run`: makes the processes of one attempt, and says how they ended.
//
// The job's output goes straight from its processes into the log file: the offset in the file is the offset in the log.
// Where /dev is the job's own, /dev/stdout and /dev/stderr are pipes read here, because opening them by name would
// truncate a log that is a plain file.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "services/common/base/clock.h"

namespace riseml::agent {

// Files of an attempt that `run` writes. Descriptors were opened for appending; the journal for reading too.
struct RunFiles {
  int log = -1;
  int journal = -1;
  int results = -1;
};

// Numbers under which node hands the files to `run`.
inline constexpr RunFiles kInheritedFiles = {.log = 3, .journal = 4, .results = 5};

// Runs the plan `dir`/run.pb to its end; the socket for results is `dir`/socket. Returns OK without doing anything when
// the attempt has begun before. SIGTERM and SIGINT ask for a stop. Uses signals and waits for children: the process
// does nothing else.
absl::Status RunAttempt(const std::string& dir, const RunFiles& files, const Clock& clock);

// The same with the files `dir`/log, `dir`/journal and `dir`/results.
absl::Status RunAttempt(const std::string& dir, const Clock& clock);

}  // namespace riseml::agent
