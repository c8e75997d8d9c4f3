// Takes, renews and loses the leadership.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "services/scheduler/controller/shared.h"

namespace riseml::scheduler {

// All references outlive this. Lives on one thread.
class Leadership {
 public:
  Leadership(const ControllerOptions& options, const Ports& ports, Alarm& alarm)
      : options_(options), ports_(ports), alarm_(alarm) {}

  // Renews the lease when it is time. True while this process may act.
  bool Hold();
  // Gives up the leadership, as somebody else has it; the next Hold tries to take it back.
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
