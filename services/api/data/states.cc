#include "services/api/data/states.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <stdexcept>

#include "absl/strings/str_cat.h"

namespace riseml::api {
namespace {

template <class State, std::size_t N>
std::optional<State> Find(absl::string_view name, const std::array<absl::string_view, N>& names) {
  const auto it = std::find(names.begin(), names.end(), name);
  if (it == names.end()) return std::nullopt;
  return static_cast<State>(it - names.begin());
}

template <class State, std::size_t N>
State Parse(absl::string_view name, const std::array<absl::string_view, N>& names) {
  if (const auto state = Find<State>(name, names)) return *state;
  throw std::runtime_error(
      absl::StrCat("the database holds the state '", name, "', which only a newer riseml-api knows"));
}

}  // namespace

AttemptState ParseAttemptState(absl::string_view name) { return Parse<AttemptState>(name, kAttemptStateNames); }
JobState ParseJobState(absl::string_view name) { return Parse<JobState>(name, kJobStateNames); }
ExperimentState ParseExperimentState(absl::string_view name) {
  return Parse<ExperimentState>(name, kExperimentStateNames);
}

std::optional<JobState> FindJobState(absl::string_view name) { return Find<JobState>(name, kJobStateNames); }

JobEvent JobEventOf(AttemptEvent event) {
  switch (event) {
    case AttemptEvent::kStarted:
    case AttemptEvent::kSuspended:
    case AttemptEvent::kResumed:
      return JobEvent::kStarted;
    case AttemptEvent::kExitedOk:
      return JobEvent::kFinished;
    case AttemptEvent::kExitedBad:
    case AttemptEvent::kLost:
    case AttemptEvent::kStartFailed:
      return JobEvent::kFailed;
    case AttemptEvent::kStopped:
      return JobEvent::kKilled;
    case AttemptEvent::kPreempted:
    case AttemptEvent::kRejected:
      return JobEvent::kPreempted;
  }
  std::abort();
}

ExperimentState DeriveState(std::optional<JobState> build, const std::vector<JobState>& jobs) {
  if (build == JobState::kFailed) return ExperimentState::kFailed;
  if (build == JobState::kKilled) return ExperimentState::kKilled;
  const bool building = build.has_value() && *build != JobState::kFinished;
  const auto any = [&](std::initializer_list<JobState> states) {
    return std::ranges::any_of(jobs, [&](JobState s) { return std::ranges::find(states, s) != states.end(); });
  };
  if (std::ranges::all_of(jobs, [](JobState s) { return IsTerminal(s); })) {
    if (building) return ExperimentState::kBuilding;  // the experiment ends only when its build has stopped
    if (any({JobState::kFailed})) return ExperimentState::kFailed;
    return any({JobState::kKilled}) ? ExperimentState::kKilled : ExperimentState::kFinished;
  }
  // A job that has ended has run, unless it was killed before it started.
  if (any({JobState::kRunning, JobState::kServing, JobState::kFinished, JobState::kFailed}))
    return ExperimentState::kRunning;
  if (any({JobState::kStarting})) return ExperimentState::kStarting;
  if (any({JobState::kPending})) return ExperimentState::kPending;
  return building ? ExperimentState::kBuilding : ExperimentState::kCreated;
}

int ChildCounts::Total() const { return std::accumulate(by_state.begin(), by_state.end(), 0); }

int ChildCounts::Terminal() const {
  return Of(ExperimentState::kFinished) + Of(ExperimentState::kFailed) + Of(ExperimentState::kKilled);
}

int ChildCounts::Active() const { return Total() - Terminal() - Of(ExperimentState::kCreated); }

int ChildCounts::FirstCreatedBehind() const {
  return Total() - Of(ExperimentState::kCreated) - Of(ExperimentState::kKilled);
}

ExperimentState DeriveSetState(std::optional<JobState> build, const ChildCounts& children, bool kill_wanted) {
  const bool building = build.has_value() && !IsTerminal(*build);
  if (children.Terminal() == children.Total() && !building) {
    if (build == JobState::kFailed) return ExperimentState::kFailed;
    if (children.Of(ExperimentState::kFinished) == children.Total()) return ExperimentState::kFinished;
    if (kill_wanted || build == JobState::kKilled) return ExperimentState::kKilled;
    return children.Of(ExperimentState::kFailed) > 0 ? ExperimentState::kFailed : ExperimentState::kFinished;
  }
  if (building) return ExperimentState::kBuilding;
  // Once a child has run, the set counts as running until its last child has run, also between two children.
  const int have_run = children.Of(ExperimentState::kFinished) + children.Of(ExperimentState::kFailed);
  if (children.Of(ExperimentState::kRunning) + have_run > 0) return ExperimentState::kRunning;
  if (children.Of(ExperimentState::kStarting) > 0) return ExperimentState::kStarting;
  return ExperimentState::kPending;
}

int ChildrenToRelease(const ChildCounts& children, int concurrency) {
  return std::clamp(concurrency - children.Active(), 0, children.Of(ExperimentState::kCreated));
}

}  // namespace riseml::api
