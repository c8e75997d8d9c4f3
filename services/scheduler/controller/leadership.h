// Takes, renews and loses the leadership.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "services/scheduler/controller/shared.h"

namespace riseml::scheduler {

// Lives on one thread. All referred to outlive this.
class Leadership {
 public:
  Leadership(const ControllerOptions& options, const Ports& ports, Alarm& alarm)
      : options_(options), ports_(ports), alarm_(alarm) {}

  // Renews the lease when it is time. True while this process may act.
  bool Hold();
  // Somebody else leads: tries to take it back at once.
  void Lose();
  // 0: none.
  std::int64_t epoch() const { return epoch_; }

 private:
  void Renew(absl::Time now);

  const ControllerOptions& options_;
  const Ports& ports_;
  Alarm& alarm_;
  std::int64_t epoch_ = 0;
  absl::Time renew_at_ = absl::InfinitePast();
  absl::Time lease_until_ = absl::InfinitePast();
  int failures_ = 0;  // in a row
};

}  // namespace riseml::scheduler
