// Limits how fast a job prints, so that its log does not overload the machine.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace riseml::agent {

// Lets a burst pass at full speed, then kBytesPerSecond. Pure.
class OutputPace {
 public:
  static constexpr std::int64_t kBytesPerSecond = 32 << 20;
  static constexpr std::int64_t kBurstBytes = 64 << 20;

  // Counts `bytes` that the job has printed. Returns the time until more may be read from the pipe; zero: no wait. A
  // clock that is set back causes no wait.
  absl::Duration Take(std::int64_t bytes, absl::Time now) {
    paid_until_ = std::clamp(paid_until_, now - TimeFor(kBurstBytes), now) + TimeFor(bytes);
    return std::max(paid_until_ - now, absl::ZeroDuration());
  }

 private:
  static absl::Duration TimeFor(std::int64_t bytes) {
    return absl::Seconds(static_cast<double>(bytes) / static_cast<double>(kBytesPerSecond));
  }

  absl::Time paid_until_ = absl::InfinitePast();
};

}  // namespace riseml::agent
