// When to try a broken stream again.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace riseml::cli {

// Pure, but for the jitter.
class Reconnects {
 public:
  // How long to wait before the next try: at least as long as the server asks for. Nothing when trying again makes no
  // sense. UNAVAILABLE is tried for ever; what the server asks to repeat later, and codes that may stand for a
  // connection that broke, five times in a row.
  std::optional<absl::Duration> After(const absl::Status& status);
  // Something arrived.
  void Progress() { failures_ = 0; }

 private:
  int failures_ = 0;
};

}  // namespace riseml::cli
