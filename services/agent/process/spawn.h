// Starts programs as daemons, with the descriptors and namespaces they are to have.
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
  // (descriptor here, number there); everything else but 0, 1 and 2 is closed. Descriptors 0 to 2 are /dev/null unless
  // named here.
  std::vector<std::pair<int, int>> descriptors;
  // Gives it a network namespace of its own, which has nothing but loopback, and for that a user namespace in which its
  // user is the same.
  bool own_network = false;
};

// Starts a program as a daemon: own session, not our child, default signals. Returns its pid once it has been executed.
// Thread-safe.
absl::StatusOr<pid_t> SpawnDetached(const SpawnRequest& request);

}  // namespace riseml::agent
