#include "services/supervisor/stack/unit.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

namespace riseml::supervisor {
namespace {

constexpr UnitState kStates[] = {UnitState::kDown,   UnitState::kStarting, UnitState::kHealthy,
                                 UnitState::kSilent, UnitState::kWaiting,  UnitState::kStopping};
constexpr UnitEvent kEvents[] = {UnitEvent::kStarted, UnitEvent::kAnswered, UnitEvent::kUnanswered, UnitEvent::kExited,
                                 UnitEvent::kStop};

TEST(Unit, EveryStateHasAtMostOneNextStateForAnEvent) {
  std::set<std::pair<UnitState, UnitEvent>> seen;
  for (const UnitEdge& edge : kUnitEdges) EXPECT_TRUE(seen.emplace(edge.from, edge.on).second);
}

TEST(Unit, RunningMeansThatAnExitIsExpected) {
  for (UnitState state : kStates)
    EXPECT_EQ(IsRunning(state), Next(state, UnitEvent::kExited).has_value()) << Name(state);
}

TEST(Unit, AStoppedUnitIsNotStartedByAnswersThatComeLate) {
  for (UnitEvent event : kEvents) {
    if (event == UnitEvent::kStarted) continue;
    EXPECT_EQ(Next(UnitState::kDown, event), std::nullopt);
  }
  EXPECT_EQ(Next(UnitState::kStopping, UnitEvent::kAnswered), std::nullopt);
  EXPECT_EQ(Next(UnitState::kStopping, UnitEvent::kExited), UnitState::kDown);
}

TEST(Unit, StopReachesDownFromEveryState) {
  for (UnitState state : kStates) {
    UnitState now = Next(state, UnitEvent::kStop).value_or(state);
    now = Next(now, UnitEvent::kExited).value_or(now);
    EXPECT_EQ(now, UnitState::kDown) << Name(state);
  }
}

TEST(RestartDelay, DoublesUpToTenSeconds) {
  RestartDelay delay;
  const double expected[] = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10};
  for (double seconds : expected) EXPECT_EQ(delay.AfterExit(absl::ZeroDuration()), absl::Seconds(seconds));
}

TEST(RestartDelay, StartsAgainAfterAMinuteOfHealth) {
  RestartDelay delay;
  for (int i = 0; i < 5; ++i) delay.AfterExit(absl::Seconds(59));
  EXPECT_EQ(delay.AfterExit(absl::Seconds(59)), absl::Seconds(3.2));
  EXPECT_EQ(delay.AfterExit(absl::Seconds(60)), absl::Milliseconds(100));
  EXPECT_EQ(delay.AfterExit(absl::ZeroDuration()), absl::Milliseconds(200));
}

}  // namespace
}  // namespace riseml::supervisor
