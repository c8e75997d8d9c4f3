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

// A service that is stopped to be started anew answers about then.
constexpr absl::Duration kRestartDelay = absl::Milliseconds(500);

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
  WakeAll();
}

absl::Status FeedHub::CheckOpen() {
  MutexLock lock(mu_);
  if (!closed_) return absl::OkStatus();
  return WithRetryDelay(Error(Reason::kShuttingDown, "api is stopping; watch again"), kRestartDelay);
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
  absl::Time last_wake = clock.Now(), last_late = last_wake;
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mu_);
      wake_.wait_for(mu_, stop, kPoll, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return woken_; });
      woken_ = false;
    }
    while (!stop.stop_requested() && ReadOnce()) {
    }
    if (clock.Now() - last_late >= absl::FromChrono(kPoll)) {
      last_late = clock.Now();
      WakeLate();
    }
    // Who has heard nothing for a long time is not to fall out of what is kept.
    if (clock.Now() - last_wake < kWakeAnyway && rows_since_all_ < kKept / 2) continue;
    last_wake = clock.Now();
    rows_since_all_ = 0;
    WakeAll();
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
  rows_since_all_ += rows->size();
  const bool more = rows->size() == kBatch;
  std::set<std::string> roots;
  for (const sql::FeedRow& row : *rows) roots.insert(row.root_uid);
  {
    MutexLock lock(mu_);
    newest_ = rows->back().position;
    for (sql::FeedRow& row : *rows) rows_.push_back(std::move(row));
    while (rows_.size() > kKept) {
      before_first_ = rows_.front().position;
      rows_.pop_front();
    }
  }
  WakeConcerned(roots);
  return more;
}

void FeedHub::WakeLater(int id) {
  MutexLock lock(mu_);
  late_.insert(id);
}

void FeedHub::WakeLate() {
  std::set<int> late;
  {
    MutexLock lock(mu_);
    late.swap(late_);
  }
  MutexLock lock(subscribers_mu_);
  for (const int id : late)
    if (const auto subscriber = subscribers_.find(id); subscriber != subscribers_.end()) subscriber->second.wake();
}

void FeedHub::WakeAll() {
  MutexLock lock(subscribers_mu_);
  for (const auto& [id, subscriber] : subscribers_) subscriber.wake();
}

void FeedHub::WakeConcerned(std::set<std::string> roots) {
  roots.insert("");
  MutexLock lock(subscribers_mu_);
  for (const std::string& root : roots) {
    const auto concerned = by_root_.find(root);
    if (concerned == by_root_.end()) continue;
    for (const int id : concerned->second) subscribers_.at(id).wake();
  }
}

sql::FeedPosition FeedHub::Newest() {
  MutexLock lock(mu_);
  return newest_;
}

absl::Status FeedHub::CheckReached(const sql::FeedPosition& position) {
  if (position <= Newest()) return absl::OkStatus();
  // Another process may have read more of the feed than this one.
  RISEML_ASSIGN_OR_RETURN(
      const std::uint64_t next_tx,
      pool_.Transact("look at the feed", [](pqxx::work& tx) -> absl::StatusOr<std::uint64_t> {
        return tx.exec1("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")[0].as<std::uint64_t>();
      }));
  if (position.tx < next_tx) return absl::OkStatus();
  return Error(Reason::kResumeTokenExpired, "the resume token is of another database; watch again without one");
}

absl::StatusOr<FeedHub::News> FeedHub::Since(const sql::FeedPosition& after, const std::string& root_uid) {
  RISEML_RETURN_IF_ERROR(CheckOpen());
  MutexLock lock(mu_);
  if (after < before_first_)
    return Error(Reason::kResumeTokenExpired, "the resume token is too old; watch again without one");
  auto it = std::upper_bound(rows_.begin(), rows_.end(), after,
                             [](const sql::FeedPosition& p, const sql::FeedRow& row) { return p < row.position; });
  News news{.position = std::max(after, newest_)};
  for (; it != rows_.end(); ++it) {
    if (!root_uid.empty() && it->root_uid != root_uid) continue;
    if (news.rows.size() == kBatch) {
      news.position = news.rows.back().position;
      news.more = true;
      break;
    }
    news.rows.push_back(*it);
  }
  return news;
}

int FeedHub::Subscribe(std::function<void()> wake) {
  MutexLock lock(subscribers_mu_);
  subscribers_[next_id_].wake = std::move(wake);
  by_root_[""].insert(next_id_);
  return next_id_++;
}

void FeedHub::Narrow(int id, const std::string& root_uid) {
  MutexLock lock(subscribers_mu_);
  const auto subscriber = subscribers_.find(id);
  if (subscriber == subscribers_.end() || subscriber->second.root_uid == root_uid) return;
  Detach(id, subscriber->second.root_uid);
  subscriber->second.root_uid = root_uid;
  by_root_[root_uid].insert(id);
}

void FeedHub::Unsubscribe(int id) {
  MutexLock lock(subscribers_mu_);
  const auto subscriber = subscribers_.find(id);
  if (subscriber == subscribers_.end()) return;
  Detach(id, subscriber->second.root_uid);
  subscribers_.erase(subscriber);
}

void FeedHub::Detach(int id, const std::string& root_uid) {
  const auto concerned = by_root_.find(root_uid);
  concerned->second.erase(id);
  if (concerned->second.empty()) by_root_.erase(concerned);
}

}  // namespace riseml::api
