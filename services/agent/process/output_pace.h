// Bounds how fast a job prints, so that its log leaves the machine to others.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace riseml::agent {

// Lets a burst pass at full speed, then so many bytes a second. Pure.
class OutputPace {
 public:
  static constexpr std::int64_t kBytesPerSecond = 32 << 20;
  static constexpr std::int64_t kBurstBytes = 64 << 20;

  // The job has printed so many bytes more. Returns how long it has to wait until more is taken; zero: not at all. A
  // clock that is set back costs nothing.
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
