#include "services/api/data/watch_cache.h"

#include <algorithm>
#include <chrono>

#include "services/common/base/clock.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::api {
namespace {

constexpr std::size_t kKept = 50'000;
constexpr char kOneLook[] = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
// Changes by other processes are seen at most this late.
constexpr std::chrono::milliseconds kPoll(250);
// Watchers are woken this often even without changes, to check access again and to send a sign of life.
constexpr absl::Duration kWakeAnyway = absl::Seconds(15);

// A restarted service answers again after about this time.
constexpr absl::Duration kRestartDelay = absl::Milliseconds(500);

}  // namespace

absl::Status WatchCache::Start() {
  RISEML_ASSIGN_OR_RETURN(
      std::vector<sql::FeedRow> tail,
      pool_.Transact("read the feed", [&](pqxx::work& tx) -> absl::StatusOr<std::vector<sql::FeedRow>> {
        tx.exec(kOneLook);
        seen_ = sql::SnapshotOfFeed(tx);
        return sql::ReadFeedTail(tx, kKept);
      }));
  {
    MutexLock lock(mu_);
    newest_ = seen_.done;
    // Rows older than the tail may have been pruned: a watcher at an older position has to start anew.
    before_first_ = tail.empty() ? newest_ : tail.front().position;
    if (tail.size() < kKept) before_first_ = std::min(before_first_, newest_);
    last_sequence_ += tail.size();
    rows_.assign(std::make_move_iterator(tail.begin()), std::make_move_iterator(tail.end()));
  }
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  return absl::OkStatus();
}

void WatchCache::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void WatchCache::Close() {
  {
    MutexLock lock(mu_);
    closed_ = true;
  }
  WakeAll();
}

absl::Status WatchCache::CheckOpen() {
  MutexLock lock(mu_);
  if (!closed_) return absl::OkStatus();
  return WithRetryDelay(Error(Reason::kShuttingDown, "api is stopping; watch again"), kRestartDelay);
}

void WatchCache::Wake() {
  {
    MutexLock lock(mu_);
    woken_ = true;
  }
  wake_.notify_one();
}

void WatchCache::Run(std::stop_token stop) {
  const SystemClock clock;
  absl::Time last_wake = clock.Now(), last_late = last_wake;
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mu_);
      wake_.wait_for(mu_, stop, kPoll, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return woken_; });
      woken_ = false;
    }
    ReadNews();
    if (clock.Now() - last_late >= absl::FromChrono(kPoll)) {
      last_late = clock.Now();
      WakeLate();
    }
    // Also wakes watchers before the oldest kept rows are dropped, so that none falls behind.
    if (clock.Now() - last_wake < kWakeAnyway && rows_since_all_ < kKept / 2) continue;
    last_wake = clock.Now();
    rows_since_all_ = 0;
    WakeAll();
  }
}

// Reads the new rows in one snapshot, in pieces.
void WatchCache::ReadNews() {
  const absl::StatusOr<sql::FeedSnapshot> shown =
      pool_.Transact("read the feed", [&](pqxx::work& tx) -> absl::StatusOr<sql::FeedSnapshot> {
        tx.exec(kOneLook);
        sql::FeedSnapshot snapshot = sql::SnapshotOfFeed(tx);
        sql::FeedPosition after = seen_.done;
        for (bool more = true; more;) {
          std::vector<sql::FeedRow> rows = sql::ReadFeed(tx, after, seen_, kBatch);
          more = rows.size() == kBatch;
          if (more) after = rows.back().position;
          Keep(std::move(rows));
        }
        return snapshot;
      });
  if (!shown.ok()) {
    LogWarning("feed_not_readable", {{"error", std::string(shown.status().message())}});
    return;
  }
  seen_ = *shown;
  MutexLock lock(mu_);
  newest_ = std::max(newest_, seen_.done);
}

void WatchCache::Keep(std::vector<sql::FeedRow> rows) {
  if (rows.empty()) return;
  rows_since_all_ += rows.size();
  std::set<std::string> roots;
  for (const sql::FeedRow& row : rows) roots.insert(row.root_uid);
  {
    MutexLock lock(mu_);
    last_sequence_ += rows.size();
    for (sql::FeedRow& row : rows) rows_.push_back(std::move(row));
    while (rows_.size() > kKept) {
      before_first_ = std::max(before_first_, rows_.front().position);
      rows_.pop_front();
    }
  }
  WakeConcerned(std::move(roots));
}

void WatchCache::WakeLater(int id) {
  MutexLock lock(mu_);
  late_.insert(id);
}

void WatchCache::WakeLate() {
  std::set<int> late;
  {
    MutexLock lock(mu_);
    late.swap(late_);
  }
  MutexLock lock(subscribers_mu_);
  for (const int id : late)
    if (const auto subscriber = subscribers_.find(id); subscriber != subscribers_.end()) subscriber->second.wake();
}

void WatchCache::WakeAll() {
  MutexLock lock(subscribers_mu_);
  for (const auto& [id, subscriber] : subscribers_) subscriber.wake();
}

void WatchCache::WakeConcerned(std::set<std::string> roots) {
  roots.insert("");
  MutexLock lock(subscribers_mu_);
  for (const std::string& root : roots) {
    const auto concerned = by_root_.find(root);
    if (concerned == by_root_.end()) continue;
    for (const int id : concerned->second) subscribers_.at(id).wake();
  }
}

WatchCache::Place WatchCache::Newest() {
  MutexLock lock(mu_);
  return {newest_, last_sequence_};
}

absl::Status WatchCache::CheckReached(const sql::FeedPosition& position) {
  if (position <= Newest().position) return absl::OkStatus();
  // Another process may have read more of the feed than this one.
  RISEML_ASSIGN_OR_RETURN(
      const std::uint64_t next_tx,
      pool_.Transact("look at the feed", [](pqxx::work& tx) -> absl::StatusOr<std::uint64_t> {
        return tx.exec1("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")[0].as<std::uint64_t>();
      }));
  if (position.tx < next_tx) return absl::OkStatus();
  return Error(Reason::kResumeTokenExpired, "the resume token is of another database; watch again without one");
}

absl::StatusOr<WatchCache::News> WatchCache::Since(const Place& after, const std::string& root_uid) {
  RISEML_RETURN_IF_ERROR(CheckOpen());
  MutexLock lock(mu_);
  const std::uint64_t before_all = last_sequence_ - rows_.size();
  const bool resumes = after.sequence == 0;
  if (resumes ? after.position < before_first_ : after.sequence < before_all)
    return Error(Reason::kResumeTokenExpired, "the resume token is too old; watch again without one");
  News news{.place = {std::max(after.position, newest_), last_sequence_}};
  for (std::size_t i = resumes ? 0 : after.sequence - before_all; i < rows_.size(); ++i) {
    const sql::FeedRow& row = rows_[i];
    if ((resumes && row.position <= after.position) || (!root_uid.empty() && row.root_uid != root_uid)) continue;
    if (news.rows.size() == kBatch) {
      news.place = {after.position, before_all + i};
      news.more = true;
      break;
    }
    news.rows.push_back(row);
  }
  return news;
}

int WatchCache::Subscribe(std::function<void()> wake) {
  MutexLock lock(subscribers_mu_);
  subscribers_[next_id_].wake = std::move(wake);
  by_root_[""].insert(next_id_);
  return next_id_++;
}

void WatchCache::Narrow(int id, const std::string& root_uid) {
  MutexLock lock(subscribers_mu_);
  const auto subscriber = subscribers_.find(id);
  if (subscriber == subscribers_.end() || subscriber->second.root_uid == root_uid) return;
  Detach(id, subscriber->second.root_uid);
  subscriber->second.root_uid = root_uid;
  by_root_[root_uid].insert(id);
}

void WatchCache::Unsubscribe(int id) {
  MutexLock lock(subscribers_mu_);
  const auto subscriber = subscribers_.find(id);
  if (subscriber == subscribers_.end()) return;
  Detach(id, subscriber->second.root_uid);
  subscribers_.erase(subscriber);
}

void WatchCache::Detach(int id, const std::string& root_uid) {
  const auto concerned = by_root_.find(root_uid);
  concerned->second.erase(id);
  if (concerned->second.empty()) by_root_.erase(concerned);
}

}  // namespace riseml::api
