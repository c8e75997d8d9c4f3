#include "services/api/data/states.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace riseml::api {
namespace {

template <class State, class Event, std::size_t States, std::size_t Events, class Edges>
void CheckTable(const std::array<absl::string_view, States>&, const std::array<absl::string_view, Events>&,
                const Edges& edges) {
  std::set<std::pair<State, Event>> seen;
  for (const auto& edge : edges) EXPECT_TRUE(seen.insert({edge.from, edge.on}).second) << "two edges for one event";
  for (std::size_t s = 0; s < States; ++s)
    for (std::size_t e = 0; e < Events; ++e)
      EXPECT_EQ(Next(static_cast<State>(s), static_cast<Event>(e)).has_value(),
                seen.contains({static_cast<State>(s), static_cast<Event>(e)}));
}

TEST(States, TablesAreDeterministicAndEverythingElseIsRefused) {
  CheckTable<AttemptState, AttemptEvent>(kAttemptStateNames, kAttemptEventNames, kAttemptEdges);
  CheckTable<JobState, JobEvent>(kJobStateNames, kJobEventNames, kJobEdges);
}

TEST(States, TerminalStatesAreFinishedFailedKilled) {
  for (std::size_t s = 0; s < kAttemptStateNames.size(); ++s)
    EXPECT_EQ(IsTerminal(static_cast<AttemptState>(s)), s >= static_cast<std::size_t>(AttemptState::kFinished));
  for (std::size_t s = 0; s < kJobStateNames.size(); ++s)
    EXPECT_EQ(IsTerminal(static_cast<JobState>(s)), s >= static_cast<std::size_t>(JobState::kFinished));
}

TEST(States, EveryStateIsReachableAndNothingLeavesATerminalOne) {
  std::mt19937 random(7);
  std::set<JobState> reached;
  for (int walk = 0; walk < 2000; ++walk) {
    JobState state = JobState::kCreated;
    for (int step = 0; step < 30; ++step) {
      const auto event = static_cast<JobEvent>(random() % kJobEventNames.size());
      const auto next = Next(state, event);
      if (IsTerminal(state)) {
        EXPECT_FALSE(next.has_value());
      }
      state = next.value_or(state);
      reached.insert(state);
    }
  }
  for (std::size_t s = 0; s < kJobStateNames.size(); ++s) {
    const auto state = static_cast<JobState>(s);
    if (state == JobState::kServing) continue;  // reached by helpers, which come later; its ways out are in the table
    EXPECT_TRUE(reached.contains(state)) << Name(state);
  }
}

TEST(States, NamesRoundTrip) {
  for (std::size_t s = 0; s < kExperimentStateNames.size(); ++s)
    EXPECT_EQ(static_cast<std::size_t>(ParseExperimentState(kExperimentStateNames[s])), s);
}

TEST(States, ExperimentFollowsItsJobs) {
  EXPECT_EQ(DeriveState(JobState::kPending, {JobState::kCreated}), ExperimentState::kBuilding);
  EXPECT_EQ(DeriveState(JobState::kFailed, {JobState::kKilled}), ExperimentState::kFailed);
  EXPECT_EQ(DeriveState(JobState::kKilled, {JobState::kKilled}), ExperimentState::kKilled);
  EXPECT_EQ(DeriveState(JobState::kFinished, {JobState::kPending}), ExperimentState::kPending);
  EXPECT_EQ(DeriveState(JobState::kRunning, {JobState::kKilled}), ExperimentState::kBuilding)
      << "not over before its build has stopped";
  EXPECT_EQ(DeriveState(std::nullopt, {JobState::kRunning}), ExperimentState::kRunning);
  EXPECT_EQ(DeriveState(std::nullopt, {JobState::kServing}), ExperimentState::kRunning);
  EXPECT_EQ(DeriveState(std::nullopt, {JobState::kFinished}), ExperimentState::kFinished);
}

TEST(States, ExperimentOfManyJobsIsOverWhenAllAre) {
  using J = JobState;
  using E = ExperimentState;
  const auto of = [](const std::vector<JobState>& jobs) { return DeriveState(std::nullopt, jobs); };
  EXPECT_EQ(of({J::kRunning, J::kFailed}), E::kRunning) << "the others are still to be stopped";
  EXPECT_EQ(of({J::kKilled, J::kFailed, J::kFinished}), E::kFailed);
  EXPECT_EQ(of({J::kKilled, J::kFinished}), E::kKilled);
  EXPECT_EQ(of({J::kFinished, J::kFinished}), E::kFinished);
  EXPECT_EQ(of({J::kFinished, J::kPending}), E::kRunning) << "it waits again, and the other has run";
  EXPECT_EQ(of({J::kStarting, J::kPending, J::kKilled}), E::kStarting);
  EXPECT_EQ(of({J::kPending, J::kCreated}), E::kPending);
  EXPECT_EQ(DeriveState(J::kRunning, {J::kCreated, J::kCreated}), E::kBuilding);
}

ChildCounts Counts(std::initializer_list<std::pair<ExperimentState, int>> items) {
  ChildCounts counts;
  for (const auto& [state, count] : items) counts.by_state[static_cast<int>(state)] = count;
  return counts;
}

TEST(States, ReleasedChildrenAreNotLookedAtAgain) {
  using E = ExperimentState;
  EXPECT_EQ(Counts({{E::kCreated, 6}}).FirstCreatedBehind(), 0);
  EXPECT_EQ(Counts({{E::kCreated, 4}, {E::kFinished, 3}, {E::kRunning, 2}}).FirstCreatedBehind(), 5);
  EXPECT_EQ(Counts({{E::kCreated, 4}, {E::kFinished, 3}, {E::kKilled, 2}}).FirstCreatedBehind(), 3)
      << "the killed ones may have been the last";
}

TEST(States, SetFollowsItsChildren) {
  using E = ExperimentState;
  EXPECT_EQ(DeriveSetState(JobState::kRunning, Counts({{E::kCreated, 6}}), false), E::kBuilding);
  EXPECT_EQ(DeriveSetState(std::nullopt, Counts({{E::kCreated, 4}, {E::kPending, 2}}), false), E::kPending);
  EXPECT_EQ(DeriveSetState(std::nullopt, Counts({{E::kFinished, 4}, {E::kRunning, 1}, {E::kPending, 1}}), false),
            E::kRunning);
  EXPECT_EQ(DeriveSetState(std::nullopt, Counts({{E::kFinished, 4}, {E::kPending, 2}}), false), E::kRunning)
      << "it does not go back to PENDING between two children";
  EXPECT_EQ(DeriveSetState(std::nullopt, Counts({{E::kFinished, 6}}), true), E::kFinished)
      << "finished before the kill";
  EXPECT_EQ(DeriveSetState(std::nullopt, Counts({{E::kFinished, 5}, {E::kFailed, 1}}), false), E::kFailed);
  EXPECT_EQ(DeriveSetState(std::nullopt, Counts({{E::kFinished, 5}, {E::kKilled, 1}}), false), E::kFinished);
  EXPECT_EQ(DeriveSetState(std::nullopt, Counts({{E::kFinished, 5}, {E::kKilled, 1}}), true), E::kKilled);
  EXPECT_EQ(DeriveSetState(JobState::kFailed, Counts({{E::kKilled, 6}}), false), E::kFailed);
}

TEST(States, AtMostConcurrencyChildrenAreActive) {
  using E = ExperimentState;
  EXPECT_EQ(ChildrenToRelease(Counts({{E::kCreated, 6}}), 2), 2);
  EXPECT_EQ(ChildrenToRelease(Counts({{E::kCreated, 4}, {E::kRunning, 1}, {E::kPending, 1}}), 2), 0);
  EXPECT_EQ(ChildrenToRelease(Counts({{E::kCreated, 1}, {E::kFinished, 5}}), 4), 1);
}

}  // namespace
}  // namespace riseml::api
