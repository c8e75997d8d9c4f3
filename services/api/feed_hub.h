// Spreads changes to the watchers of this process: one thread reads the feed, watchers keep a position and are woken.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "services/common/base/mutex.h"
#include "services/common/sql/feed.h"
#include "services/common/sql/pool.h"

namespace riseml::api {

// Thread-safe. Keeps the last 50,000 changes; a watcher that is further behind has to start anew.
class FeedHub {
 public:
  explicit FeedHub(sql::Pool& pool) : pool_(pool) {}  // outlives this
  ~FeedHub() { Stop(); }

  // Reads the newest part of the feed, then follows it. UNAVAILABLE when the database is away.
  absl::Status Start();
  void Stop();

  // Ends all watches: from now on Since fails with UNAVAILABLE (SHUTTING_DOWN), and subscribers are woken to see it.
  void Close();

  // Looks at the feed at once instead of at the next poll; to be called after each commit of this process.
  void Wake();

  // Position of the newest change known here.
  sql::FeedPosition Newest();

  static constexpr int kBatch = 10'000;
  // Changes behind `after`, oldest first, at most kBatch. OUT_OF_RANGE (RESUME_TOKEN_EXPIRED) when they are not kept
  // any more.
  absl::StatusOr<std::vector<sql::FeedRow>> Since(const sql::FeedPosition& after);

  // `wake` is called, on the hub's thread, whenever something may be new and every 15 s; it must not block. Returns an
  // id for Unsubscribe, after which it is not called any more.
  int Subscribe(std::function<void()> wake);
  void Unsubscribe(int id);

 private:
  void Run(std::stop_token stop);
  bool ReadOnce();
  void WakeSubscribers();

  sql::Pool& pool_;
  Mutex mu_;
  std::condition_variable_any wake_;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<sql::FeedRow> rows_ ABSL_GUARDED_BY(mu_);
  sql::FeedPosition newest_ ABSL_GUARDED_BY(mu_);
  sql::FeedPosition before_first_ ABSL_GUARDED_BY(mu_);  // a watcher at or behind this position misses nothing in rows_
  // Held while subscribers are called, so that Unsubscribe waits for a call in progress.
  Mutex subscribers_mu_;
  std::map<int, std::function<void()>> subscribers_ ABSL_GUARDED_BY(subscribers_mu_);
  int next_id_ ABSL_GUARDED_BY(subscribers_mu_) = 1;
  std::jthread thread_;
};

}  // namespace riseml::api
