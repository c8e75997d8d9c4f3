// Keeps transfers from using up the server: a bound on how many run at once, and an end for those that stand still.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"

namespace riseml::gitsync {

struct StreamBounds {
  int total = 12;    // fewer than the server has threads: short calls always find one
  int per_user = 6;  // so that one user cannot keep the others out
  absl::Duration idle = absl::Minutes(2);
};

// Thread-safe. Outlives its slots.
class StreamGuard {
 public:
  // A transfer that runs. Lives on the thread of its call.
  class Slot {
   public:
    Slot(StreamGuard& guard, std::uint64_t id) : guard_(&guard), id_(id) {}
    Slot(Slot&& other) noexcept : guard_(std::exchange(other.guard_, nullptr)), id_(other.id_) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot();
    // Bytes have moved.
    void Progress();

   private:
    StreamGuard* guard_;
    std::uint64_t id_;
  };

  // `clock` outlives this.
  StreamGuard(const StreamBounds& bounds, const Clock& clock);
  ~StreamGuard();

  // UNAVAILABLE when too many run. `cancel` ends the call; it is called, from another thread and while the slot lives,
  // when nothing has moved for `idle`.
  absl::StatusOr<Slot> Enter(const std::string& user, std::function<void()> cancel);

  // Cancels the calls that stand still. The guard does so by itself every few seconds.
  void CancelIdle();

 private:
  struct Stream {
    std::string user;
    std::function<void()> cancel;
    absl::Time moved;
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
