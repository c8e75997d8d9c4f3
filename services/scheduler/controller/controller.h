// Runs the scheduler: takes the leadership and, while it leads, runs its parts in turn.
//
// All memory is a copy of what api and the nodes know. A new process, or this one after it lost the leadership, starts
// with an empty memory and goes on where the old one was.
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "services/scheduler/controller/environments.h"
#include "services/scheduler/controller/leadership.h"
#include "services/scheduler/controller/shared.h"

namespace riseml::scheduler {

// Lives on one thread; other threads reach it only through the mailboxes.
class Controller {
 public:
  Controller(ControllerOptions options, Ports ports);
  ~Controller();

  // Does everything that can be done now. Returns when to call again if nothing happens before.
  absl::Time Pass();

 private:
  class Term;

  const ControllerOptions options_;
  const Ports ports_;
  Alarm alarm_;
  Leadership leadership_;
  EnvironmentCache cache_;
  std::unique_ptr<Term> term_;  // nullptr: no leadership
};

}  // namespace riseml::scheduler
