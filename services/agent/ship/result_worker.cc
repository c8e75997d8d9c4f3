#include "services/agent/ship/result_worker.h"

#include <algorithm>
#include <string>
#include <utility>

#include "services/common/base/log.h"

namespace riseml::agent {

ResultWorker::ResultWorker(ResultDelivery delivery, absl::Duration first_backoff, absl::Duration longest_backoff,
                           std::function<void()> on_change)
    : delivery_(std::move(delivery)),
      first_backoff_(first_backoff),
      longest_backoff_(longest_backoff),
      on_change_(std::move(on_change)),
      delivered_(delivery_.delivered()),
      thread_([this](const std::stop_token& stop) { Loop(stop); }) {}

void ResultWorker::Look() {
  MutexLock lock(mu_);
  wanted_ = true;
  changed_.notify_all();
}

bool ResultWorker::IsIdle() {
  MutexLock lock(mu_);
  return !wanted_ && !busy_;
}

std::int64_t ResultWorker::delivered() {
  MutexLock lock(mu_);
  return delivered_;
}

void ResultWorker::Loop(const std::stop_token& stop) {
  int failures = 0;
  while (WaitForWork(stop)) {
    const absl::Status status = delivery_.Deliver();
    if (!status.ok() && failures == 0) LogWarning("results_wait", {{"error", std::string(status.message())}});
    failures = status.ok() ? 0 : failures + 1;
    MutexLock lock(mu_);
    busy_ = false;
    delivered_ = delivery_.delivered();
    on_change_();
    if (status.ok()) continue;
    wanted_ = true;
    const absl::Duration pause = std::min(first_backoff_ * (1 << std::min(failures, 10)), longest_backoff_);
    changed_.wait_for(mu_, stop, absl::ToChronoMilliseconds(pause), [] { return false; });
  }
}

bool ResultWorker::WaitForWork(const std::stop_token& stop) {
  MutexLock lock(mu_);
  const bool any = changed_.wait(mu_, stop, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return wanted_; });
  if (!any || stop.stop_requested()) return false;
  wanted_ = false;
  busy_ = true;
  return true;
}

}  // namespace riseml::agent
