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
  int forwarder = -1;      // only with forwarded ports: a socket of the forwarder (port_forwarder.h)
  int network_ready = -1;  // only with the job's own network: a pipe that gets "1" once it is connected
  int network_alive = -1;  // only with the job's own network: keeps it connected; never written to
};

// Numbers of the descriptors by which node passes the files to `run`. A container gets the first ones only, since
// Podman passes descriptors without gaps.
inline constexpr RunFiles kInheritedFiles = {.log = 3,
                                             .journal = 4,
                                             .results = 5,
                                             .output_read = 6,
                                             .output_write = 7,
                                             .forwarder = 8,
                                             .network_ready = 9,
                                             .network_alive = 10};

// Keeps the commands of the attempt from inheriting the files, and reads from `output_read` without blocking, which
// Podman changes.
absl::Status TakeFiles(const RunFiles& files);

}  // namespace riseml::agent
