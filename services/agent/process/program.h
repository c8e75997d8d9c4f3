// Runs programs of the machine to their end.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace riseml::agent {

struct ProgramRequest {
  std::vector<std::string> argv;  // argv[0] is a path
  std::vector<std::string> environment;
  absl::Duration limit = absl::InfiniteDuration();
};

struct ProgramResult {
  int exit_code = 0;   // 128 + signal when a signal ended it
  std::string output;  // standard output, at most 1 MiB
  std::string errors;  // standard error, at most 1 MiB
};

// Runs the program as our child, without input, and waits for its end. Thread-safe. CANCELLED if stopped,
// DEADLINE_EXCEEDED after `limit`: then it gets SIGTERM, and SIGKILL 5 s later.
absl::StatusOr<ProgramResult> RunProgram(const ProgramRequest& request, const std::stop_token& stop = {});

}  // namespace riseml::agent
