// The open files that `riseml-job run` gets from node.
#pragma once

#include "absl/status/status.h"

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

// Keeps the commands of the attempt from inheriting the files.
absl::Status CloseOnExec(const RunFiles& files);

}  // namespace riseml::agent
