// LogService.Follow: stored and new bytes of everything below a name. A follower costs one cursor per stream and one
// message in flight, whether its reader is fast or slow, and has no thread of its own.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "riseml/v1/log.pb.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/base/threads/executor.h"
#include "services/common/rpc/open_calls.h"
#include "services/loghandler/follow/stream_owners.h"
#include "services/loghandler/follow/stream_registry.h"
#include "services/loghandler/store/log_metrics.h"
#include "services/loghandler/store/store.h"
#include "services/loghandler/store/stream_id.h"

namespace riseml::loghandler {

class Follower;

struct FollowOptions {
  absl::Duration heartbeat = absl::Seconds(15);  // of silence
  absl::Duration recheck = absl::Seconds(15);    // of the reader's access
  absl::Duration poll = absl::Seconds(2);        // of the streams, while no changes arrive from api
  absl::Duration tick = absl::Milliseconds(100);
  // True: a cursor beyond the end waits for the log to come, since another log handler may have shown more of it.
  // False: it is refused.
  bool wait_for_cursor = false;
  std::size_t max_followers = 4096;
  std::size_t max_followers_per_user = 100;    // one user must not keep the others from their logs
  std::size_t max_cursors_per_user = 100'000;  // of all his followers together; each takes about 80 bytes
};

// Thread-safe.
class FollowHandler {
 public:
  // All references must outlive this object.
  FollowHandler(FollowOptions options, Store& store, StreamRegistry& registry, const StreamOwners& owners,
                Executor& executor, rpc::OpenCalls& open_calls, const Clock& clock, LogMetrics& metrics);
  ~FollowHandler() { Stop(); }

  grpc::ServerWriteReactor<v1::FollowResponse>* Follow(grpc::CallbackServerContext* context,
                                                       const v1::FollowRequest* request);

  // A stream has more durable bytes, or has ended. Does not block.
  void OnNews(const StreamId& id);
  // Streams may have other owners than before. Does not block.
  void OnOwnersChanged();
  // Something below these roots (experiments or sets) has changed at api.
  void OnRootsChanged(const std::vector<std::string>& roots);
  // Says whether changes at api are received. When it becomes true, every follower looks again.
  void SetWatching(bool watching);

  // Ends all calls with SHUTTING_DOWN, and every later one. Idempotent.
  void Stop();

 private:
  friend class Follower;
  using Followers = std::vector<std::shared_ptr<Follower>>;
  absl::Status Add(const std::shared_ptr<Follower>& follower);
  void Remove(const std::shared_ptr<Follower>& follower);
  void Subscribe(const StreamId& id, const std::shared_ptr<Follower>& follower);
  void Unsubscribe(const StreamId& id, const Follower* follower);
  void SetRoot(const std::shared_ptr<Follower>& follower, const std::string& root);
  std::uint64_t changes();
  bool watching();
  Followers All();
  void RunTicker(std::stop_token stop);

  const FollowOptions options_;
  Store& store_;
  StreamRegistry& registry_;
  const StreamOwners& owners_;
  Executor& executor_;
  rpc::OpenCalls& open_calls_;
  const Clock& clock_;
  LogMetrics& metrics_;

  Mutex mu_;
  std::condition_variable_any never_;  // the ticker sleeps on it
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  bool watching_ ABSL_GUARDED_BY(mu_) = false;
  std::uint64_t changes_ ABSL_GUARDED_BY(mu_) = 0;  // calls of OnRootsChanged so far
  absl::flat_hash_map<std::shared_ptr<Follower>, std::string> roots_
      ABSL_GUARDED_BY(mu_);  // all followers; empty: not known yet
  struct Share {
    std::size_t readers = 0, cursors = 0;
  };
  absl::flat_hash_map<std::string, Share> of_user_ ABSL_GUARDED_BY(mu_);  // each user's part of roots_
  absl::flat_hash_map<StreamId, Followers> by_stream_ ABSL_GUARDED_BY(mu_);
  std::jthread ticker_;  // last: it uses the rest
};

}  // namespace riseml::loghandler
