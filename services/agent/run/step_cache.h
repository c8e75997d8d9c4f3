// Keeps the results of the first install steps of a build for later builds, and uses those that earlier builds have
// kept (kept_steps.h). Runs in `run`, with the rights of the job. A failure here does not fail the build, which then
// runs all steps.
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

// Number of the first steps whose results are kept in `directory`; 0: none.
int StepsKept(const internal::v1::RunPlan& plan, const std::string& directory);

// Estimates the time of a copy of this size on a disk that cannot share blocks.
absl::Duration ExpectedCopy(const TreeSize& size);
// True if steps that took this long are worth keeping: keeping and using their results costs no more than running them.
bool IsWorthKeeping(absl::Duration took, const TreeSize& size);

// "Steps 1-3 of 7 are", or for one step "Step 1 of 7 is".
std::string NameSteps(int steps, int total);

// Thread-compatible. Prepare, Undo and Keep take long and are meant for a child (forked_task.h).
class StepCache {
 public:
  // `plan` must outlive this. `session` is the directory of the shell that runs the steps, `shell` its program,
  // `output` the descriptor it prints to.
  StepCache(const internal::v1::RunPlan& plan, std::string session, std::string shell, int output)
      : plan_(plan), session_(std::move(session)), shell_(std::move(shell)), output_(output) {}

  // Remembers which files exist before any step runs. `began` must be later than their times. After an error nothing is
  // kept or used.
  absl::Status Begin(absl::Time began, absl::Time now);

  // True if results that earlier builds have kept are removed instead of used.
  bool IsAnew() const;
  // True if Prepare has something to do. Results of steps to be built anew are removed even if Begin has failed.
  bool HasPreparation() const { return (places_ || IsAnew()) && StepsKept(plan_, plan_.step_reuse().directory()) > 0; }
  // Takes the results of first steps that an earlier build kept, reports that in the log, and returns the number of
  // these steps; the shell continues after them. If IsAnew, removes the kept results and returns 0. An error may leave
  // partial copies: call Undo then, unless IsAnew.
  absl::StatusOr<int> Prepare(absl::Time now) const;
  // Removes everything that was not there at the beginning. May be called only after a Prepare without IsAnew.
  absl::Status Undo() const { return places_->RemoveMade(); }

  // True if the results of the first `steps` steps, which have succeeded, may be worth keeping. `shell` waits for the
  // next step.
  bool MayKeep(int steps, pid_t shell, absl::Time now) const;
  // Keeps the results of the first `steps` steps. Returns a line for the log; empty if they are not worth keeping.
  absl::StatusOr<std::string> Keep(int steps, pid_t shell, absl::Time now) const;
  // Sets the time from which the duration of steps counts.
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
