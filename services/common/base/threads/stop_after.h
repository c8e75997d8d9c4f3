// A stop that comes by itself after some time.
#pragma once

#include <atomic>
#include <functional>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/time/time.h"
#include "services/common/base/threads/pause.h"

namespace riseml {

// Requests a stop after `limit`, or when `outer` is asked to stop. Has a thread of its own until it is destroyed.
class StopAfter {
 public:
  StopAfter(absl::Duration limit, const std::stop_token& outer)
      : relay_(outer, [this] { source_.request_stop(); }), timer_([this, limit](const std::stop_token& end) {
          if (!Pause(end, limit)) return;
          expired_ = true;
          source_.request_stop();
        }) {}

  std::stop_token token() const { return source_.get_token(); }
  // True once `limit` has passed.
  bool expired() const { return expired_; }

 private:
  std::stop_source source_;
  std::atomic<bool> expired_ = false;
  const std::stop_callback<std::function<void()>> relay_;
  std::jthread timer_;  // must be last: it uses the others
};

}  // namespace riseml
