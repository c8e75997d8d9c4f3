// The system calls that jobs in a sandbox are refused: those that reach what no namespace separates, such as keyrings,
// and those that only an administrator's programs need and that have often been a way into the kernel.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace riseml::agent {

class SystemCallFilter {
 public:
  // Makes the filter for this machine's processor; a machine that runs 32-bit programs filters theirs too. INTERNAL
  // when libseccomp cannot make it.
  static absl::StatusOr<SystemCallFilter> Make();

  // Applies it to the calling thread and to all that it executes, for good; set-user-id programs get no rights from
  // then on. May be called between fork and exec. False: errno tells why. A kernel without filters is no failure.
  bool Apply() const;

 private:
  explicit SystemCallFilter(std::vector<sock_filter> program) : program_(std::move(program)) {}

  std::vector<sock_filter> program_;
};

}  // namespace riseml::agent
