// A pause that ends early when its thread is asked to stop.
#pragma once

#include <condition_variable>
#include <stop_token>

#include "absl/time/time.h"
#include "services/common/base/mutex.h"

namespace riseml {

// Waits for `duration`. Returns false at once when a stop is requested, or has been.
inline bool Pause(const std::stop_token& stop, absl::Duration duration) {
  Mutex mu;
  std::condition_variable_any never;
  MutexLock lock(mu);
  return !never.wait_for(mu, stop, absl::ToChronoMicroseconds(duration), [&stop] { return stop.stop_requested(); });
}

}  // namespace riseml
