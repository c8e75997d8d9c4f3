// Decides when to report a wait on an output that cannot redraw a line.
#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace riseml::cli {

// Due after one second without news, then after 2, 4, 8 … seconds more, so that a long wait fills no file. Pure.
class Silence {
 public:
  explicit Silence(absl::Time now) : due_(now + kFirst) {}

  // Something was shown.
  void Broken(absl::Time now) {
    step_ = kFirst;
    due_ = now + step_;
  }
  absl::Duration Left(absl::Time now) const { return std::max(due_ - now, absl::ZeroDuration()); }
  // True once for each time that it is due.
  bool IsDue(absl::Time now) {
    if (now < due_) return false;
    step_ *= 2;
    due_ = now + step_;
    return true;
  }

 private:
  static constexpr absl::Duration kFirst = absl::Seconds(1);
  absl::Duration step_ = kFirst;
  absl::Time due_;
};

}  // namespace riseml::cli
