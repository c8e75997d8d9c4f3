#include "services/common/base/duration.h"

#include <cmath>

#include "absl/strings/numbers.h"

namespace riseml {

std::optional<absl::Duration> ReadDuration(absl::string_view text) {
  double seconds = 0;
  absl::Duration duration;
  if (absl::ParseDuration(text, &duration)) return duration;
  if (!absl::SimpleAtod(text, &seconds) || std::isnan(seconds)) return std::nullopt;
  return absl::Seconds(seconds);
}

}  // namespace riseml
