// Commands of riseml-supervisor, as the user calls them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace riseml::supervisor {

struct Options {
  std::string dir;                // --dir; empty: the default
  std::string bin_dir;            // --bin-dir; empty: the directory of this program
  std::vector<std::string> data;  // --data NAME=PATH
  std::string kafka;              // --kafka BROKERS, or "none"; empty: as before
  std::string runtime;            // --runtime podman|process; empty: as before
};

// Each command prints messages for the user on standard output and returns errors.
absl::Status Up(const Options& options);
absl::Status Down(const Options& options);
// Logs the invoking user in with a new key of the administrator.
absl::Status AdminKey(const Options& options);
// Prints the state of the units. True if everything is healthy.
absl::StatusOr<bool> PrintStatus(const Options& options);

}  // namespace riseml::supervisor
