// Delivers results on a thread of its own, so that a slow api does not hold up the log.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <thread>

#include "absl/time/time.h"
#include "services/agent/ship/result_delivery.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Thread-safe.
class ResultWorker {
 public:
  // After a failure it waits for `first_backoff`, then for twice as long each time up to `longest_backoff`. `on_change`
  // is called when IsIdle or delivered() may have changed.
  ResultWorker(ResultDelivery delivery, absl::Duration first_backoff, absl::Duration longest_backoff,
               std::function<void()> on_change);

  // Requests a delivery, since there may be new results.
  void Look();
  // True if everything in the spool at the last Look has been delivered.
  bool IsIdle();
  std::int64_t delivered();

 private:
  void Loop(const std::stop_token& stop);
  bool WaitForWork(const std::stop_token& stop);

  ResultDelivery delivery_;
  const absl::Duration first_backoff_, longest_backoff_;
  const std::function<void()> on_change_;
  Mutex mu_;
  std::condition_variable_any changed_;
  bool wanted_ ABSL_GUARDED_BY(mu_) = true;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
  std::int64_t delivered_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace riseml::agent
