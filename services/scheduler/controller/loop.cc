#include "services/scheduler/controller/loop.h"

#include <algorithm>

namespace riseml::scheduler {
namespace {

// Bounds of a wait: a maximum, so that setting the clock does no lasting harm; a minimum, so that nothing spins.
constexpr absl::Duration kLongestWait = absl::Seconds(5);
constexpr absl::Duration kShortestWait = absl::Milliseconds(1);

}  // namespace

void Loop::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Loop::Wake() {
  {
    MutexLock lock(mu_);
    wake_ = true;
  }
  woken_.notify_one();
}

void Loop::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Loop::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const absl::Time next = controller_.Pass();
    const absl::Duration wait = std::clamp(next - clock_.Now(), kShortestWait, kLongestWait);
    MutexLock lock(mu_);
    woken_.wait_for(mu_, stop, absl::ToChronoMicroseconds(wait),
                    [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return wake_; });
    wake_ = false;
  }
}

}  // namespace riseml::scheduler
