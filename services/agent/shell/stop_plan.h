// Decides which processes get which signal, and when, while an attempt is being stopped. Pure: processes in, signals
// out.
//
// SIGTERM goes to the program in front: the foreground child of the shell, the first one of a pipe. A data loader below
// it gets nothing while its parent lives, so that a checkpoint can be saved. Shells above the program in front are
// halted meanwhile, since they would go on with the next line, and get SIGTERM when it has ended. What loses its parent
// gets SIGTERM on its own, a short while later. When most of the grace period is over, all get it who have not had it.
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
  pid_t main = 0;                   // its shell, or what that has become; 0 when it has ended
  std::vector<ProcessStat> family;  // live descendants of `root`
  std::function<ProcessDetail(const ProcessStat&)> inspect;
};

// Lives from the request to stop until nothing is left. Thread-compatible.
class StopPlan {
 public:
  StopPlan(absl::Time begin, absl::Duration grace) : last_call_(begin + grace * 0.8) {}

  // The signals to send now. Call it again soon, until nothing is left: processes appear and vanish meanwhile.
  std::vector<StopSignal> Next(const StopSnapshot& snapshot, absl::Time now);

 private:
  using Key = std::pair<pid_t, std::int64_t>;  // pid and start: never another process
  struct ProcessState {
    absl::Time exposed = absl::InfiniteFuture();  // since when nothing above it is left to end first
    absl::Time told = absl::InfiniteFuture();     // when it got SIGTERM
    bool halted = false;
    std::string copied;  // what it ran when it got SIGTERM as a copy of its parent: the copy may have lost it
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
