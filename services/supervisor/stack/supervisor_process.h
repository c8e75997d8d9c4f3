// Supervising process: starts as a child of the process at the terminal and keeps the stack running.
#pragma once

#include <string>
#include <vector>

#include "services/common/base/files/file.h"
#include "services/supervisor/install/programs.h"
#include "services/supervisor/install/runtime.h"

namespace riseml::supervisor {

struct SuperviseRequest {
  std::string dir;
  std::vector<std::string> data;  // NAME=PATH
  std::string kafka;              // brokers, or "none"; empty: as before
  Runtime runtime;
  Programs programs;
  UniqueFd lock;      // held until the end
  UniqueFd progress;  // pipe to the terminal's process
};

// Must run in a separate process with one thread. Leaves the terminal, gives up root's rights (in reserve, if the node
// needs them), prepares the installation and supervises it until SIGTERM. Returns the exit code. Reports errors of the
// start through the pipe.
int Supervise(SuperviseRequest request);

}  // namespace riseml::supervisor
