// State machines of attempts, jobs and experiments: tables and pure functions. Nothing else decides about a state.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::api {

// --- Attempts: the scheduler reports their events. ---

enum class AttemptState { kStarting, kRunning, kSuspended, kFinished, kFailed, kKilled };
enum class AttemptEvent {
  kStarted,      // its commands run
  kExitedOk,     // all commands succeeded
  kExitedBad,    // a command failed
  kStopped,      // it ended because it was asked to
  kLost,         // its node is gone, or does not know it
  kStartFailed,  // it could not be started
  kSuspended,    // the scheduler paused it
  kResumed,      // the scheduler let it go on
  kPreempted,    // the scheduler took its resources away
  kRejected,     // its node did not take it
};

inline constexpr std::array<absl::string_view, 6> kAttemptStateNames = {"STARTING", "RUNNING", "SUSPENDED",
                                                                        "FINISHED", "FAILED",  "KILLED"};
inline constexpr std::array<absl::string_view, 10> kAttemptEventNames = {
    "STARTED",      "EXITED_OK", "EXITED_BAD", "STOPPED",   "LOST",
    "START_FAILED", "SUSPENDED", "RESUMED",    "PREEMPTED", "REJECTED"};

struct AttemptEdge {
  AttemptState from;
  AttemptEvent on;
  AttemptState to;
};
inline constexpr AttemptEdge kAttemptEdges[] = {
    {AttemptState::kStarting, AttemptEvent::kStarted, AttemptState::kRunning},
    {AttemptState::kStarting, AttemptEvent::kExitedOk, AttemptState::kFinished},
    {AttemptState::kStarting, AttemptEvent::kExitedBad, AttemptState::kFailed},
    {AttemptState::kStarting, AttemptEvent::kStopped, AttemptState::kKilled},
    {AttemptState::kStarting, AttemptEvent::kLost, AttemptState::kFailed},
    {AttemptState::kStarting, AttemptEvent::kStartFailed, AttemptState::kFailed},
    {AttemptState::kStarting, AttemptEvent::kPreempted, AttemptState::kKilled},
    {AttemptState::kStarting, AttemptEvent::kRejected, AttemptState::kKilled},
    {AttemptState::kRunning, AttemptEvent::kExitedOk, AttemptState::kFinished},
    {AttemptState::kRunning, AttemptEvent::kExitedBad, AttemptState::kFailed},
    {AttemptState::kRunning, AttemptEvent::kStopped, AttemptState::kKilled},
    {AttemptState::kRunning, AttemptEvent::kLost, AttemptState::kFailed},
    {AttemptState::kRunning, AttemptEvent::kSuspended, AttemptState::kSuspended},
    {AttemptState::kRunning, AttemptEvent::kPreempted, AttemptState::kKilled},
    {AttemptState::kSuspended, AttemptEvent::kResumed, AttemptState::kRunning},
    {AttemptState::kSuspended, AttemptEvent::kExitedOk, AttemptState::kFinished},
    {AttemptState::kSuspended, AttemptEvent::kExitedBad, AttemptState::kFailed},
    {AttemptState::kSuspended, AttemptEvent::kStopped, AttemptState::kKilled},
    {AttemptState::kSuspended, AttemptEvent::kLost, AttemptState::kFailed},
    {AttemptState::kSuspended, AttemptEvent::kPreempted, AttemptState::kKilled},
};

// --- Jobs: api releases them; then they follow their newest attempt. ---

enum class JobState { kCreated, kPending, kStarting, kRunning, kServing, kFinished, kFailed, kKilled };
enum class JobEvent {
  kReleased,          // its turn has come
  kPlaced,            // an attempt was committed
  kStarted,           // its attempt runs
  kFinished,          // its attempt succeeded
  kFailed,            // its attempt failed
  kKilled,            // its attempt was stopped, or a kill found no attempt
  kAbandoned,         // the job it waited for has failed
  kPreempted,         // its attempt was evicted, or its node refused it: it waits again
  kEnvironmentReady,  // a build that nobody needs any more
  kImpossible,        // it can never run
  kRetried,           // its attempt failed, and it may be tried again: it waits again
};

inline constexpr std::array<absl::string_view, 8> kJobStateNames = {"CREATED", "PENDING",  "STARTING", "RUNNING",
                                                                    "SERVING", "FINISHED", "FAILED",   "KILLED"};
inline constexpr std::array<absl::string_view, 11> kJobEventNames = {
    "RELEASED",  "PLACED",    "STARTED",           "FINISHED",   "FAILED", "KILLED",
    "ABANDONED", "PREEMPTED", "ENVIRONMENT_READY", "IMPOSSIBLE", "RETRIED"};

struct JobEdge {
  JobState from;
  JobEvent on;
  JobState to;
};
inline constexpr JobEdge kJobEdges[] = {
    {JobState::kCreated, JobEvent::kReleased, JobState::kPending},
    {JobState::kCreated, JobEvent::kKilled, JobState::kKilled},
    {JobState::kCreated, JobEvent::kAbandoned, JobState::kKilled},
    {JobState::kPending, JobEvent::kPlaced, JobState::kStarting},
    {JobState::kPending, JobEvent::kKilled, JobState::kKilled},
    {JobState::kPending, JobEvent::kAbandoned, JobState::kKilled},
    {JobState::kPending, JobEvent::kEnvironmentReady, JobState::kFinished},
    {JobState::kPending, JobEvent::kImpossible, JobState::kFailed},
    {JobState::kStarting, JobEvent::kStarted, JobState::kRunning},
    {JobState::kStarting, JobEvent::kFinished, JobState::kFinished},
    {JobState::kStarting, JobEvent::kFailed, JobState::kFailed},
    {JobState::kStarting, JobEvent::kKilled, JobState::kKilled},
    {JobState::kStarting, JobEvent::kPreempted, JobState::kPending},
    {JobState::kStarting, JobEvent::kRetried, JobState::kPending},
    {JobState::kRunning, JobEvent::kFinished, JobState::kFinished},
    {JobState::kRunning, JobEvent::kFailed, JobState::kFailed},
    {JobState::kRunning, JobEvent::kKilled, JobState::kKilled},
    {JobState::kRunning, JobEvent::kPreempted, JobState::kPending},
    {JobState::kRunning, JobEvent::kRetried, JobState::kPending},
    {JobState::kServing, JobEvent::kFinished, JobState::kFinished},
    {JobState::kServing, JobEvent::kFailed, JobState::kFailed},
    {JobState::kServing, JobEvent::kKilled, JobState::kKilled},
    {JobState::kServing, JobEvent::kPreempted, JobState::kPending},
    {JobState::kServing, JobEvent::kRetried, JobState::kPending},
};

// --- Experiments: derived from their jobs. Sets: derived from their build and their children. ---

enum class ExperimentState { kCreated, kBuilding, kPending, kStarting, kRunning, kFinished, kFailed, kKilled };
inline constexpr std::array<absl::string_view, 8> kExperimentStateNames = {"CREATED", "BUILDING", "PENDING", "STARTING",
                                                                           "RUNNING", "FINISHED", "FAILED",  "KILLED"};

constexpr absl::string_view Name(AttemptState s) { return kAttemptStateNames[static_cast<int>(s)]; }
constexpr absl::string_view Name(AttemptEvent e) { return kAttemptEventNames[static_cast<int>(e)]; }
constexpr absl::string_view Name(JobState s) { return kJobStateNames[static_cast<int>(s)]; }
constexpr absl::string_view Name(JobEvent e) { return kJobEventNames[static_cast<int>(e)]; }
constexpr absl::string_view Name(ExperimentState s) { return kExperimentStateNames[static_cast<int>(s)]; }

// States by the name they are stored under. Throws std::runtime_error, which makes the transaction fail as INTERNAL,
// for a state that only a newer version knows.
AttemptState ParseAttemptState(absl::string_view name);
JobState ParseJobState(absl::string_view name);
ExperimentState ParseExperimentState(absl::string_view name);

// The same for readers of many rows, where one bad row must not stop the others. Absent for an unknown state.
std::optional<JobState> FindJobState(absl::string_view name);

constexpr std::optional<AttemptState> Next(AttemptState from, AttemptEvent on) {
  for (const AttemptEdge& edge : kAttemptEdges)
    if (edge.from == from && edge.on == on) return edge.to;
  return std::nullopt;
}
constexpr std::optional<JobState> Next(JobState from, JobEvent on) {
  for (const JobEdge& edge : kJobEdges)
    if (edge.from == from && edge.on == on) return edge.to;
  return std::nullopt;
}

constexpr bool IsTerminal(AttemptState s) {
  for (const AttemptEdge& edge : kAttemptEdges)
    if (edge.from == s) return false;
  return true;
}
constexpr bool IsTerminal(JobState s) {
  for (const JobEdge& edge : kJobEdges)
    if (edge.from == s) return false;
  return true;
}
constexpr bool IsTerminal(ExperimentState s) { return s >= ExperimentState::kFinished; }

// Returns the event of a job that follows from an event of its newest attempt.
JobEvent JobEventOf(AttemptEvent event);

// State of an experiment or child, derived from its jobs, one or more. `build` is absent for children, as their set
// builds, and where nothing was built.
ExperimentState DeriveState(std::optional<JobState> build, const std::vector<JobState>& jobs);

// Number of children of a set by state.
struct ChildCounts {
  std::array<int, kExperimentStateNames.size()> by_state{};
  int Of(ExperimentState s) const { return by_state[static_cast<int>(s)]; }
  int Total() const;
  int Terminal() const;
  // Released and not ended: they count against the set's concurrency.
  int Active() const;
  // Children 1 to this number are not CREATED: they are released in order, and only a kill ends one before its turn.
  int FirstCreatedBehind() const;
};

// State of a set from its build and its children. Children that were killed one by one do not fail a set; failed
// children do, once all have ended. A set somebody killed is KILLED unless all its children had finished before.
ExperimentState DeriveSetState(std::optional<JobState> build, const ChildCounts& children, bool kill_wanted);

// Returns how many more children may be released now.
int ChildrenToRelease(const ChildCounts& children, int concurrency);

}  // namespace riseml::api
