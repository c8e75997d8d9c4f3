// Time to wait before something is tried again.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace riseml {

// `first`, twice as much, … up to `longest`; `failures` in a row before, from 0.
inline absl::Duration Backoff(int failures, absl::Duration first, absl::Duration longest) {
  return std::min(first * (1 << std::clamp(failures, 0, 10)), longest);
}

}  // namespace riseml
