#include "cli/client/reconnects.h"

#include <algorithm>
#include <random>

namespace riseml::cli {

std::optional<absl::Duration> Reconnects::After(const absl::Status& status) {
  ++failures_;
  const bool may_be_broken = absl::IsInternal(status) || absl::IsUnknown(status) || absl::IsCancelled(status) ||
                             absl::IsDataLoss(status) || absl::IsDeadlineExceeded(status);
  if (!absl::IsUnavailable(status) && !(may_be_broken && failures_ <= 5)) return std::nullopt;
  thread_local std::minstd_rand random(std::random_device{}());
  const absl::Duration base = std::min(absl::Milliseconds(100) * (1 << std::min(failures_ - 1, 10)), absl::Seconds(2));
  return base * std::uniform_real_distribution<double>(0.5, 1.0)(random);
}

}  // namespace riseml::cli
