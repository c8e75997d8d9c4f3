#include "cli/client/reconnect_policy.h"

#include <algorithm>
#include <random>

#include "services/common/base/status.h"

namespace riseml::cli {

std::optional<absl::Duration> ReconnectPolicy::After(const absl::Status& status) {
  ++failures_;
  const bool may_be_broken = absl::IsInternal(status) || absl::IsUnknown(status) || absl::IsCancelled(status) ||
                             absl::IsDataLoss(status) || absl::IsDeadlineExceeded(status);
  const std::optional<absl::Duration> asked = RetryDelayOf(status);
  if (!absl::IsUnavailable(status) && !((may_be_broken || asked) && failures_ <= 5)) return std::nullopt;
  thread_local std::minstd_rand random(std::random_device{}());
  const absl::Duration base = std::min(absl::Milliseconds(100) * (1 << std::min(failures_ - 1, 10)), absl::Seconds(2));
  return std::max(base * std::uniform_real_distribution<double>(0.5, 1.0)(random), asked.value_or(base / 2));
}

}  // namespace riseml::cli
