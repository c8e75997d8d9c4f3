// Spreads changes to the watchers of this process: one thread reads the feed, watchers keep a position and are woken.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "services/common/base/mutex.h"
#include "services/common/sql/feed.h"
#include "services/common/sql/pool.h"

namespace riseml::api {

// Thread-safe. Keeps the last 50,000 changes; a watcher that is further behind has to start anew.
class WatchCache {
 public:
  explicit WatchCache(sql::Pool& pool) : pool_(pool) {}  // outlives this
  ~WatchCache() { Stop(); }

  // Reads the newest part of the feed, then follows it. UNAVAILABLE when the database is away.
  absl::Status Start();
  void Stop();

  // Ends all watches: from now on Since fails with UNAVAILABLE (SHUTTING_DOWN), and subscribers are woken to see it.
  void Close();

  // UNAVAILABLE (SHUTTING_DOWN) once it is closed.
  absl::Status CheckOpen();

  // Looks at the feed at once instead of at the next poll; to be called after each commit of this process.
  void Wake();

  // Where a watcher stands.
  struct Place {
    sql::FeedPosition position;  // valid in every process; this cache may know changes after it already
    std::uint64_t sequence = 0;  // number of the newest change that was read from this cache; 0: none yet
  };
  // The place after the newest change in this cache.
  Place Newest();

  static constexpr int kBatch = 10'000;
  struct News {
    std::vector<sql::FeedRow> rows;  // oldest first, at most kBatch
    Place place;                     // where the reader stands afterwards
    bool more = false;               // more changes follow `place`
  };
  // Changes after `after`; only those below one root unless `root_uid` is empty. A watcher that has only a position may
  // get some twice. OUT_OF_RANGE (RESUME_TOKEN_EXPIRED) when they are not kept any more.
  absl::StatusOr<News> Since(const Place& after, const std::string& root_uid);
  // OUT_OF_RANGE (RESUME_TOKEN_EXPIRED) for a position that the database has not reached: it comes from another one, or
  // from before a restore.
  absl::Status CheckReached(const sql::FeedPosition& position);

  // `wake` is called, on the cache's thread, whenever something may be new and every 15 s; it must not block. Returns
  // an id for Narrow and for Unsubscribe, after which it is not called any more.
  int Subscribe(std::function<void()> wake);
  // Restricts the subscriber to changes below the root from now on.
  void Narrow(int id, const std::string& root_uid);
  void Unsubscribe(int id);
  // Wakes the subscriber once more a quarter of a second from now at the latest. May be called from a `wake` function.
  void WakeLater(int id);
  // Wakes all subscribers, on this thread, so that they check access anew.
  void WakeAll();

 private:
  struct Subscriber {
    std::function<void()> wake;
    std::string root_uid;  // empty: all
  };

  void Run(std::stop_token stop);
  void ReadNews();
  void Keep(std::vector<sql::FeedRow> rows);
  void WakeConcerned(std::set<std::string> roots);
  void WakeLate();
  void Detach(int id, const std::string& root_uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(subscribers_mu_);

  sql::Pool& pool_;
  Mutex mu_;
  std::condition_variable_any wake_;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<sql::FeedRow> rows_ ABSL_GUARDED_BY(mu_);  // in the order in which they were first seen
  std::uint64_t last_sequence_ ABSL_GUARDED_BY(mu_) =
      1;                                     // number of the last row in rows_; rows are numbered one after the other
  std::set<int> late_ ABSL_GUARDED_BY(mu_);  // subscribers to wake at the next poll
  sql::FeedPosition newest_ ABSL_GUARDED_BY(mu_);  // all up to here has been in rows_
  sql::FeedPosition before_first_
      ABSL_GUARDED_BY(mu_);  // rows_ has every change that a watcher at or after this position needs
  // Held while subscribers are called, so that Unsubscribe waits for a call in progress.
  Mutex subscribers_mu_;
  std::map<int, Subscriber> subscribers_ ABSL_GUARDED_BY(subscribers_mu_);
  std::map<std::string, std::set<int>> by_root_
      ABSL_GUARDED_BY(subscribers_mu_);  // "" has the subscribers to all roots
  int next_id_ ABSL_GUARDED_BY(subscribers_mu_) = 1;
  sql::FeedSnapshot seen_;          // of the cache's thread
  std::size_t rows_since_all_ = 0;  // read since all subscribers were woken; of the cache's thread
  std::jthread thread_;
};

}  // namespace riseml::api
