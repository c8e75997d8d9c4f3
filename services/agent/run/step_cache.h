// Keeps what the first install steps of a build made for later builds, and uses what earlier builds have kept
// (kept_steps.h). Runs inside of `run`, as the job. No failure here fails a build: it runs all steps then.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/agent/run/build_places.h"
#include "services/agent/run/kept_steps.h"
#include "services/agent/run/tree_copy.h"

namespace riseml::agent {

// Number of the first steps that are kept in `directory`; 0: none.
int StepsKept(const internal::v1::RunPlan& plan, const std::string& directory);

// Estimates the time of a copy of this size on a disk that cannot share blocks.
absl::Duration ExpectedCopy(const TreeSize& size);
// True when steps that took this long are worth keeping: to keep and to use them costs no more than to run them.
bool IsWorthKeeping(absl::Duration took, const TreeSize& size);

// "Steps 1-3 of 7 are"; of one step "Step 1 of 7 is".
std::string NameSteps(int steps, int total);

// Thread-compatible. Prepare, Undo and Keep take long and are meant for a child (forked_task.h).
class StepCache {
 public:
  // `plan` outlives this. `session` is the directory of the shell that runs the steps, `shell` its program, `output`
  // where it prints.
  StepCache(const internal::v1::RunPlan& plan, std::string session, std::string shell, int output)
      : plan_(plan), session_(std::move(session)), shell_(std::move(shell)), output_(output) {}

  // Remembers what is there before anything runs. `began` is younger than all of it. After an error nothing is kept or
  // used.
  absl::Status Begin(absl::Time began, absl::Time now);

  // True when what earlier builds have kept is not used but removed.
  bool IsAnew() const;
  // True when there is something for Prepare to do. What is to be built anew is removed also when Begin has failed.
  bool HasPreparation() const { return (places_ || IsAnew()) && StepsKept(plan_, plan_.step_reuse().directory()) > 0; }
  // Takes what an earlier build kept of the first steps, says so in the log, and returns the number of these steps: the
  // shell goes on after them. A request to build anew removes what was kept and returns 0. An error may leave parts:
  // call Undo, unless IsAnew.
  absl::StatusOr<int> Prepare(absl::Time now) const;
  // Removes everything that was not there at the beginning. After a Prepare that was not to build anew.
  absl::Status Undo() const { return places_->RemoveMade(); }

  // True when the first `steps` steps have succeeded and might be worth keeping. `shell` waits for the next one.
  bool MayKeep(int steps, pid_t shell, absl::Time now) const;
  // Keeps what they made. Returns a line for the log; empty when it is not worth it.
  absl::StatusOr<std::string> Keep(int steps, pid_t shell, absl::Time now) const;
  // The time that steps take counts from now on.
  void CountFrom(absl::Time now) { counted_from_ = now; }

 private:
  const internal::v1::StepReuse& reuse() const { return plan_.step_reuse(); }
  const std::string& KeyOf(int step) const { return plan_.build_steps(step - 1).prefix_key(); }
  std::string EnvironmentKey() const;
  absl::Status RemoveKept() const;
  absl::Status Use(int steps, const HeldKeptSteps& kept) const;
  absl::Status RunReuseCommands(int steps) const;
  absl::Status TakeState(const HeldKeptSteps& kept, const Replacement& replacement) const;
  absl::Status CheckRoom(const TreeSize& size) const;
  absl::StatusOr<internal::v1::KeptSteps> Describe(const NewKeptSteps& kept, pid_t shell) const;

  const internal::v1::RunPlan& plan_;
  const std::string session_;
  const std::string shell_;
  const int output_;
  std::optional<BuildPlaces> places_;  // absent: nothing is kept or used
  absl::Time counted_from_;
};

}  // namespace riseml::agent
