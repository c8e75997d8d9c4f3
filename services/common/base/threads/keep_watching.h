// A thread's loop over a stream that is opened anew whenever it ends.
#pragma once

#include <algorithm>
#include <functional>
#include <stop_token>

#include "absl/time/time.h"
#include "services/common/base/threads/backoff.h"
#include "services/common/base/threads/pause.h"

namespace riseml {

// Calls `watch` until a stop is requested. `watch` opens a stream, reads it to its end, and returns whether anything
// arrived. The pause between two calls is 100 ms, and doubles up to 2 s while streams bring nothing.
inline void KeepWatching(const std::stop_token& stop, const std::function<bool()>& watch) {
  int failures = 0;
  do {
    failures = watch() ? 0 : failures + 1;
  } while (Pause(stop, Backoff(std::max(failures - 1, 0), absl::Milliseconds(100), absl::Seconds(2))));
}

}  // namespace riseml
