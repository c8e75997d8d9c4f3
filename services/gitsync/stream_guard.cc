#include "services/gitsync/stream_guard.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"

namespace riseml::gitsync {
namespace {

constexpr std::chrono::seconds kInterval{5};

}  // namespace

StreamGuard::Slot::~Slot() {
  if (guard_ == nullptr) return;
  MutexLock lock(guard_->mu_);
  guard_->streams_.erase(id_);
}

void StreamGuard::Slot::Progress() {
  MutexLock lock(guard_->mu_);
  guard_->streams_.at(id_).moved = guard_->clock_.Now();
}

StreamGuard::StreamGuard(const StreamBounds& bounds, const Clock& clock) : bounds_(bounds), clock_(clock) {
  thread_ = std::jthread([this](std::stop_token stop) {
    Mutex mu;
    while (!stop.stop_requested()) {
      {
        MutexLock lock(mu);
        stopped_.wait_for(mu, stop, kInterval, [&stop] { return stop.stop_requested(); });
      }
      CancelIdle();
    }
  });
}

StreamGuard::~StreamGuard() = default;

absl::StatusOr<StreamGuard::Slot> StreamGuard::Enter(const std::string& user, std::function<void()> cancel) {
  MutexLock lock(mu_);
  const auto of_user =
      std::count_if(streams_.begin(), streams_.end(), [&](const auto& s) { return s.second.user == user; });
  if (static_cast<int>(streams_.size()) >= bounds_.total || of_user >= bounds_.per_user)
    return WithRetryDelay(Error(Reason::kUnavailable, "too many transfers of code run at once; try again in a moment"),
                          absl::Seconds(1));
  const std::uint64_t id = next_id_++;
  streams_[id] = Stream{user, std::move(cancel), clock_.Now()};
  return Slot(*this, id);
}

void StreamGuard::CancelIdle() {
  MutexLock lock(mu_);
  const absl::Time now = clock_.Now();
  for (auto& [id, stream] : streams_) {
    if (now - stream.moved < bounds_.idle) continue;
    LogInfo("idle_transfer_cancelled", {{"user", stream.user}});
    stream.cancel();
    stream.moved = now;
  }
}

}  // namespace riseml::gitsync
