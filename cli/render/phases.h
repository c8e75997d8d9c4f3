// Phases before an experiment runs: build, queue, start.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/client/experiment_state.h"
#include "cli/render/terminal.h"

namespace riseml::cli {

struct Phase {
  enum class Progress { kAhead, kActive, kDone, kFailed };
  std::string name;
  Progress progress = Progress::kAhead;
  std::string detail;   // what it waits for, or how it ended
  std::string elapsed;  // how long it has been active; changes with every look

  bool operator==(const Phase&) const = default;
};

// Returns a build phase only if there is a build job; while the build prints, returns no other phase.
std::vector<Phase> PhasesOf(const ExperimentState& state, absl::Time now);

// True when there is nothing left to wait for: it runs or it is over.
bool PhasesAreOver(const ExperimentState& state);

// True while the build's steps run: from then on its log says more than its phase.
bool BuildPrints(const ExperimentState& state);

// Shows phases on a terminal: one block that is drawn over itself.
class PhaseBlock {
 public:
  explicit PhaseBlock(Terminal terminal) : terminal_(terminal) {}
  // Returns the text that shows these phases now; empty if nothing changed.
  std::string Draw(const std::vector<Phase>& phases);

 private:
  std::string Line(const Phase& phase) const;

  Terminal terminal_;
  std::vector<Phase> shown_;
};

}  // namespace riseml::cli
