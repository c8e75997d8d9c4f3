// Filter of the system calls that are refused to jobs in a sandbox: calls to resources that no namespace separates,
// such as keyrings, and calls that only an administrator's programs need and that have often been used to attack the
// kernel.
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

  // Applies the filter permanently to the calling thread and to all programs that it executes; from then on set-user-id
  // programs get no extra rights. May be called between fork and exec. Returns false on failure and sets errno. A
  // kernel without filters is not a failure.
  bool Apply() const;

 private:
  explicit SystemCallFilter(std::vector<sock_filter> program) : program_(std::move(program)) {}

  std::vector<sock_filter> program_;
};

}  // namespace riseml::agent
