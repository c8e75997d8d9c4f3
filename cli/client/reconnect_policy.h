// Decides when a broken stream is tried again.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace riseml::cli {

// Pure, but for the jitter.
class ReconnectPolicy {
 public:
  // Returns the time to wait before the next try: at least as long as the server asks for. Returns nothing if another
  // try makes no sense. UNAVAILABLE is tried for ever; errors with a retry delay, and codes that may stand for a
  // broken connection, five times in a row.
  std::optional<absl::Duration> After(const absl::Status& status);
  // Something arrived.
  void Progress() { failures_ = 0; }

 private:
  int failures_ = 0;
};

}  // namespace riseml::cli
