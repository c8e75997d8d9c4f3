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
constexpr absl::Duration kRetryDelay = absl::Seconds(1);

}  // namespace

StreamGuard::Slot::~Slot() {
  if (guard_ == nullptr) return;
  MutexLock lock(guard_->mu_);
  guard_->streams_.erase(id_);
}

void StreamGuard::Slot::BeginWait() {
  MutexLock lock(guard_->mu_);
  guard_->streams_.at(id_).waits_since = guard_->clock_.Now();
}

void StreamGuard::Slot::EndWait(std::size_t bytes) {
  MutexLock lock(guard_->mu_);
  Stream& stream = guard_->streams_.at(id_);
  const StreamBounds& bounds = guard_->bounds_;
  const absl::Duration earned = absl::Seconds(static_cast<double>(bytes) / static_cast<double>(bounds.least_rate));
  stream.patience = std::min(stream.patience - (guard_->clock_.Now() - stream.waits_since) + earned, bounds.patience);
  stream.waits_since = absl::InfiniteFuture();
}

StreamGuard::StreamGuard(const StreamBounds& bounds, const Clock& clock) : bounds_(bounds), clock_(clock) {
  thread_ = std::jthread([this](std::stop_token stop) {
    Mutex mu;
    while (!stop.stop_requested()) {
      {
        MutexLock lock(mu);
        stopped_.wait_for(mu, stop, kInterval, [&stop] { return stop.stop_requested(); });
      }
      CancelSlow();
    }
  });
}

StreamGuard::~StreamGuard() = default;

absl::StatusOr<StreamGuard::Slot> StreamGuard::Enter(const std::string& user, std::function<void()> cancel) {
  MutexLock lock(mu_);
  const auto of_user =
      std::count_if(streams_.begin(), streams_.end(), [&](const auto& s) { return s.second.user == user; });
  const auto all = static_cast<std::int64_t>(streams_.size());
  const bool scarce = all >= bounds_.total - bounds_.reserved;
  const int limit = scarce ? 1 : bounds_.per_user;
  if (of_user >= limit)
    return WithRetryDelay(
        LimitExceeded(absl::StrCat("you already have ", of_user, " transfers of code, of at most ", limit,
                                   scarce ? " while the server is busy" : "", "; try again when one has ended"),
                      limit, of_user),
        kRetryDelay);
  if (all >= bounds_.total)
    return WithRetryDelay(Error(Reason::kUnavailable, "too many transfers of code run at once; try again in a moment"),
                          kRetryDelay);
  const std::uint64_t id = next_id_++;
  streams_[id] = Stream{.user = user, .cancel = std::move(cancel), .patience = bounds_.patience};
  return Slot(*this, id);
}

void StreamGuard::CancelSlow() {
  MutexLock lock(mu_);
  const absl::Time now = clock_.Now();
  for (auto& [id, stream] : streams_) {
    if (now - stream.waits_since < stream.patience) continue;
    LogInfo("slow_transfer_cancelled", {{"user", stream.user}});
    stream.cancel();
    stream.waits_since = absl::InfiniteFuture();
  }
}

}  // namespace riseml::gitsync
