#include "services/api/feed_hub.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "services/common/base/clock.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::api {
namespace {

constexpr std::size_t kKept = 50'000;
// Changes made by other processes are seen this late at most.
constexpr std::chrono::milliseconds kPoll(250);
// Watchers are woken this often even when nothing happens, to check access anew and to show life.
constexpr absl::Duration kWakeAnyway = absl::Seconds(15);

}  // namespace

absl::Status FeedHub::Start() {
  sql::FeedPosition present;
  RISEML_ASSIGN_OR_RETURN(
      std::vector<sql::FeedRow> tail,
      pool_.Transact("read the feed", [&](pqxx::work& tx) -> absl::StatusOr<std::vector<sql::FeedRow>> {
        const auto oldest_running =
            tx.exec1("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")[0].as<std::uint64_t>();
        present = {oldest_running - 1, std::numeric_limits<std::int64_t>::max()};
        return sql::ReadFeedTail(tx, kKept);
      }));
  {
    MutexLock lock(mu_);
    // Rows older than what was read may have been pruned: who stands before them has to start anew.
    newest_ = tail.empty() ? present : tail.back().position;
    before_first_ = tail.empty() ? present : tail.front().position;
    rows_.assign(std::make_move_iterator(tail.begin()), std::make_move_iterator(tail.end()));
  }
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  return absl::OkStatus();
}

void FeedHub::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void FeedHub::Close() {
  {
    MutexLock lock(mu_);
    closed_ = true;
  }
  WakeSubscribers();
}

void FeedHub::Wake() {
  {
    MutexLock lock(mu_);
    woken_ = true;
  }
  wake_.notify_one();
}

void FeedHub::Run(std::stop_token stop) {
  const SystemClock clock;
  absl::Time last_wake = clock.Now();
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mu_);
      wake_.wait_for(mu_, stop, kPoll, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return woken_; });
      woken_ = false;
    }
    while (!stop.stop_requested() && ReadOnce()) {
    }
    if (clock.Now() - last_wake < kWakeAnyway) continue;
    last_wake = clock.Now();
    WakeSubscribers();
  }
}

// True when more may be there already.
bool FeedHub::ReadOnce() {
  const sql::FeedPosition after = Newest();
  auto rows = pool_.Transact("read the feed", [&](pqxx::work& tx) -> absl::StatusOr<std::vector<sql::FeedRow>> {
    return sql::ReadFeed(tx, after, kBatch);
  });
  if (!rows.ok()) {
    LogWarning("feed_not_readable", {{"error", std::string(rows.status().message())}});
    return false;
  }
  if (rows->empty()) return false;
  {
    MutexLock lock(mu_);
    newest_ = rows->back().position;
    for (sql::FeedRow& row : *rows) rows_.push_back(std::move(row));
    while (rows_.size() > kKept) {
      before_first_ = rows_.front().position;
      rows_.pop_front();
    }
  }
  WakeSubscribers();
  return rows->size() == kBatch;
}

void FeedHub::WakeSubscribers() {
  MutexLock lock(subscribers_mu_);
  for (const auto& [id, wake] : subscribers_) wake();
}

sql::FeedPosition FeedHub::Newest() {
  MutexLock lock(mu_);
  return newest_;
}

absl::StatusOr<std::vector<sql::FeedRow>> FeedHub::Since(const sql::FeedPosition& after) {
  MutexLock lock(mu_);
  if (closed_) return Error(Reason::kShuttingDown, "api is stopping; watch again");
  if (after < before_first_)
    return Error(Reason::kResumeTokenExpired, "the resume token is too old; watch again without one");
  auto it = std::upper_bound(rows_.begin(), rows_.end(), after,
                             [](const sql::FeedPosition& p, const sql::FeedRow& row) { return p < row.position; });
  const auto count = std::min<std::ptrdiff_t>(rows_.end() - it, kBatch);
  return std::vector<sql::FeedRow>(it, it + count);
}

int FeedHub::Subscribe(std::function<void()> wake) {
  MutexLock lock(subscribers_mu_);
  subscribers_[next_id_] = std::move(wake);
  return next_id_++;
}

void FeedHub::Unsubscribe(int id) {
  MutexLock lock(subscribers_mu_);
  subscribers_.erase(id);
}

}  // namespace riseml::api
