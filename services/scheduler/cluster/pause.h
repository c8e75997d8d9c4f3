// A pause that ends early when its thread is asked to stop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <stop_token>

#include "absl/time/time.h"
#include "services/common/base/mutex.h"

namespace riseml::scheduler {

inline void Pause(const std::stop_token& stop, absl::Duration duration) {
  Mutex mu;
  std::condition_variable_any never;
  MutexLock lock(mu);
  never.wait_for(mu, stop, absl::ToChronoMilliseconds(duration), [] { return false; });
}

}  // namespace riseml::scheduler
