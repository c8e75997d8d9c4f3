// The verbs of riseml-supervisor, as seen from the terminal.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace riseml::supervisor {

struct Options {
  std::string dir;                // --dir; empty: the default
  std::string bin_dir;            // --bin-dir; empty: where this program lies
  std::vector<std::string> data;  // --data NAME=PATH
};

// Each prints what the user should know on standard output; errors are returned.
absl::Status Up(const Options& options);
absl::Status Down(const Options& options);
// Logs the invoking user in with a new key of the administrator.
absl::Status AdminKey(const Options& options);
// True when everything is healthy.
absl::StatusOr<bool> PrintStatus(const Options& options);

}  // namespace riseml::supervisor
