// The supervising process: from a child of the terminal's process to the one that keeps the stack running.
#pragma once

#include <string>
#include <vector>

#include "services/common/base/files/file.h"
#include "services/supervisor/install/programs.h"

namespace riseml::supervisor {

struct SuperviseRequest {
  std::string dir;
  std::vector<std::string> data;  // NAME=PATH
  Programs programs;
  UniqueFd lock;      // held until the end
  UniqueFd progress;  // pipe to the terminal's process
};

// Runs in a process of its own with one thread: leaves the terminal, gives up root's rights, prepares the installation
// and supervises it until SIGTERM. Returns the exit code. What went wrong while starting is told over the pipe.
int Supervise(SuperviseRequest request);

}  // namespace riseml::supervisor
