// Limits the transfers of the server: bounds how many run at once, and ends those whose other side hardly moves any
// bytes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"

namespace riseml::gitsync {

struct StreamBounds {
  int total = 12;    // fewer than the server has threads: short calls always find one
  int per_user = 3;  // so that one user cannot keep the others out
  int reserved = 4;  // how many of `total` are kept for users without a running transfer, so that a few users together
                     // cannot keep the others out
  // How long a transfer may wait for the other side. Each byte that moves gives some of it back: a transfer that moves
  // `least_rate` bytes per second goes on for ever; an occasional byte does not help.
  absl::Duration patience = absl::Seconds(30);
  std::int64_t least_rate = 1024;
};

// Thread-safe. Outlives its slots.
class StreamGuard {
 public:
  // A running transfer. Lives on the thread of its call.
  class Slot {
   public:
    Slot(StreamGuard& guard, std::uint64_t id) : guard_(&guard), id_(id) {}
    Slot(Slot&& other) noexcept : guard_(std::exchange(other.guard_, nullptr)), id_(other.id_) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot();
    // Starts to wait for the other side to send, or to take what was written.
    void BeginWait();
    // Ends the wait, in which `bytes` have moved.
    void EndWait(std::size_t bytes);

   private:
    StreamGuard* guard_;
    std::uint64_t id_;
  };

  // `clock` outlives this.
  StreamGuard(const StreamBounds& bounds, const Clock& clock);
  ~StreamGuard();

  // Starts a transfer. LIMIT_EXCEEDED if the user has too many, UNAVAILABLE if all users together have. `cancel` ends
  // the call; it is called from another thread, while the slot lives, when the other side has used up its patience.
  absl::StatusOr<Slot> Enter(const std::string& user, std::function<void()> cancel);

  // Cancels the calls that wait for too long. The guard does so by itself every few seconds.
  void CancelSlow();

 private:
  struct Stream {
    std::string user;
    std::function<void()> cancel;
    absl::Duration patience;
    absl::Time waits_since = absl::InfiniteFuture();
  };

  const StreamBounds bounds_;
  const Clock& clock_;
  Mutex mu_;
  std::uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<std::uint64_t, Stream> streams_ ABSL_GUARDED_BY(mu_);
  std::condition_variable_any stopped_;
  std::jthread thread_;
};

}  // namespace riseml::gitsync
