// Runs the controller on its thread: makes a pass when something has happened or is due.
#pragma once

#include <condition_variable>
#include <thread>

#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/scheduler/controller/controller.h"

namespace riseml::scheduler {

class Loop {
 public:
  // Both outlive this.
  Loop(Controller& controller, const Clock& clock) : controller_(controller), clock_(clock) {}
  ~Loop() { Stop(); }

  void Start();
  // Asks for a pass. Thread-safe; does not block.
  void Wake();
  // Ends the loop after the current pass. Idempotent.
  void Stop();

 private:
  void Run(const std::stop_token& stop);

  Controller& controller_;
  const Clock& clock_;
  Mutex mu_;
  std::condition_variable_any woken_;
  bool wake_ ABSL_GUARDED_BY(mu_) = false;
  std::jthread thread_;
};

}  // namespace riseml::scheduler
