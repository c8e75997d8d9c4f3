// Time to wait before something is tried again.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace riseml {

// Returns `first`, doubled for each of `failures` in a row (from 0), at most `longest`.
inline absl::Duration Backoff(int failures, absl::Duration first, absl::Duration longest) {
  return std::min(first * (1 << std::clamp(failures, 0, 10)), longest);
}

}  // namespace riseml
