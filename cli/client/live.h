// Merges everything that happens to an experiment into one sequence of events: state changes, log lines, Ctrl-C.
// Reconnects by itself.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "cli/client/connection.h"
#include "cli/client/interrupts.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/log.pb.h"
#include "services/common/base/mutex.h"

namespace riseml::cli {

struct Interrupted {};  // the user pressed Ctrl-C
struct ConnectionLost {};
struct ConnectionResumed {};
struct WatchEnded {
  absl::Status status;
};
struct FollowEnded {
  absl::Status status;
};
using LiveEvent = std::variant<v1::WatchExperimentResponse, v1::FollowResponse, Interrupted, ConnectionLost,
                               ConnectionResumed, WatchEnded, FollowEnded>;

// Runs the streams in the background and queues their events in a bounded queue: a slow reader slows the servers down
// and costs no memory. Reconnects for ever; log bytes arrive without a gap or a repeat. Thread-safe.
class Live {
 public:
  // All must outlive this object.
  Live(Connection& connection, Interrupts& interrupts);
  ~Live();  // ends the streams

  // Starts to watch an experiment; call at most once. Ends with a WatchEnded event.
  void Watch(const v1::WatchExperimentRequest& request);

  // Begins to follow the log at the log handler at `address`; call at most once. Ends with a FollowEnded event.
  void Follow(const std::string& address, const v1::FollowRequest& request);

  // The next event, or nothing within `timeout`.
  std::optional<LiveEvent> Next(absl::Duration timeout);

 private:
  void RunWatch(std::stop_token stop, v1::WatchExperimentRequest request);
  void RunFollow(const std::stop_token& stop, const std::string& address, const v1::FollowRequest& request);
  bool Push(std::stop_token stop, LiveEvent event);
  void Sleep(std::stop_token stop, absl::Duration duration);
  void Break(std::stop_token stop, bool* broken);
  void Mend(std::stop_token stop, bool* broken);

  Connection& connection_;
  Interrupts& interrupts_;
  Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<LiveEvent> events_ ABSL_GUARDED_BY(mu_);
  int broken_ ABSL_GUARDED_BY(mu_) = 0;  // number of streams that are broken now
  std::jthread watch_, follow_;
};

}  // namespace riseml::cli
