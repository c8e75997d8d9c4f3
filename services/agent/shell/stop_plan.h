// Decides which processes get which signal, and when, while an attempt is being stopped. Pure.
//
// SIGTERM goes to the foreground program: the foreground child of the shell, or the first one of a pipeline. A data
// loader below it gets no signal while its parent lives, so that a checkpoint can be saved. Shells above the foreground
// program are halted meanwhile, since they would continue with the next line; they get SIGTERM when it has ended. A
// process that loses its parent gets SIGTERM a short while later. When most of the grace period is over, all processes
// that have not got SIGTERM get it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "services/agent/process/process.h"

namespace riseml::agent {

// One signal to send.
struct StopSignal {
  pid_t pid = 0;
  int signal = 0;
  friend bool operator==(const StopSignal&, const StopSignal&) = default;
};

// The processes below `run` at one moment. `inspect` is called only for processes that matter.
struct StopSnapshot {
  pid_t root = 0;                   // `run` itself
  pid_t main = 0;                   // its shell, or the program that the shell became by exec; 0: ended
  std::vector<ProcessStat> family;  // live descendants of `root`
  std::function<ProcessDetail(const ProcessStat&)> inspect;
};

// Used from the request to stop until no process is left. Thread-compatible.
class StopPlan {
 public:
  StopPlan(absl::Time begin, absl::Duration grace) : last_call_(begin + grace * 0.8) {}

  // Returns the signals to send now. Call it repeatedly until no process is left, since processes appear and vanish
  // meanwhile.
  std::vector<StopSignal> Next(const StopSnapshot& snapshot, absl::Time now);

 private:
  using Key = std::pair<pid_t, std::int64_t>;  // pid and start time identify a process
  struct ProcessState {
    absl::Time exposed = absl::InfiniteFuture();  // since when no process above it has to end first
    absl::Time told = absl::InfiniteFuture();     // when it got SIGTERM
    bool halted = false;
    std::string copied;  // its command if it got SIGTERM as a copy of its parent, which may have lost the signal
  };
  struct View;

  void Approach(const View& view, const ProcessStat& process, absl::Duration patience);
  void ApproachChildren(const View& view, const ProcessStat& shell);
  void Tell(const View& view, const ProcessStat& process);
  ProcessState& StateOf(const ProcessStat& process) { return states_[Key{process.pid, process.start_ticks}]; }

  const absl::Time last_call_;
  bool first_ = true;
  std::map<Key, ProcessState> states_;
  std::vector<StopSignal> signals_;
};

}  // namespace riseml::agent
