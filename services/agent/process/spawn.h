// Starts programs as daemons, with given descriptors and namespaces.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace riseml::agent {

// A program to start.
struct SpawnRequest {
  std::vector<std::string> argv;  // argv[0] is a path
  std::vector<std::string> environment;
  std::string directory = "/";
  // (descriptor here, number in the program). Descriptors 0 to 2 are /dev/null unless named here; all others are
  // closed.
  std::vector<std::pair<int, int>> descriptors;
  // Gives the program its own network namespace, which has only loopback, and the user namespace that this needs; its
  // user stays the same there.
  bool own_network = false;
};

// Starts a program as a daemon: with its own session, default signals and the priority of a job, and not as our child.
// Returns its pid once it has been executed. Thread-safe.
absl::StatusOr<pid_t> SpawnDetached(const SpawnRequest& request);

}  // namespace riseml::agent
