// Durations as people write them, in files and on command lines alike.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace riseml {

// "90" (seconds), "90s", "1.5h", "1h30m", "inf"; nothing for other text. May be negative.
std::optional<absl::Duration> ReadDuration(absl::string_view text);

}  // namespace riseml
