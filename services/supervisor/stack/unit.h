// State machine of a supervised process, and the delay before its next start. Pure.
#pragma once

#include <algorithm>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace riseml::supervisor {

enum class UnitState {
  kDown,      // not running and not wanted yet
  kStarting,  // runs, has not answered yet
  kHealthy,   // answers on all its listeners
  kSilent,    // runs, does not answer any more
  kWaiting,   // died; is started again after a while
  kStopping,  // was told to stop
};
enum class UnitEvent { kStarted, kAnswered, kUnanswered, kExited, kStop };

inline constexpr absl::string_view kUnitStateNames[] = {"down",          "starting",   "healthy",
                                                        "not answering", "restarting", "stopping"};
constexpr absl::string_view Name(UnitState state) { return kUnitStateNames[static_cast<int>(state)]; }

struct UnitEdge {
  UnitState from;
  UnitEvent on;
  UnitState to;
};
inline constexpr UnitEdge kUnitEdges[] = {
    {UnitState::kDown, UnitEvent::kStarted, UnitState::kStarting},
    {UnitState::kWaiting, UnitEvent::kStarted, UnitState::kStarting},
    {UnitState::kStarting, UnitEvent::kAnswered, UnitState::kHealthy},
    {UnitState::kSilent, UnitEvent::kAnswered, UnitState::kHealthy},
    {UnitState::kHealthy, UnitEvent::kUnanswered, UnitState::kSilent},
    {UnitState::kStarting, UnitEvent::kExited, UnitState::kWaiting},
    {UnitState::kHealthy, UnitEvent::kExited, UnitState::kWaiting},
    {UnitState::kSilent, UnitEvent::kExited, UnitState::kWaiting},
    {UnitState::kStopping, UnitEvent::kExited, UnitState::kDown},
    {UnitState::kStarting, UnitEvent::kStop, UnitState::kStopping},
    {UnitState::kHealthy, UnitEvent::kStop, UnitState::kStopping},
    {UnitState::kSilent, UnitEvent::kStop, UnitState::kStopping},
    {UnitState::kWaiting, UnitEvent::kStop, UnitState::kDown},
};

// nullopt: the event changes nothing in this state.
constexpr std::optional<UnitState> Next(UnitState from, UnitEvent on) {
  for (const UnitEdge& edge : kUnitEdges)
    if (edge.from == from && edge.on == on) return edge.to;
  return std::nullopt;
}

constexpr bool IsRunning(UnitState state) { return state != UnitState::kDown && state != UnitState::kWaiting; }

// Delay before the next start: 0.1 s, doubled with each death up to 10 s; starts over after 60 s of good health.
class RestartDelay {
 public:
  absl::Duration AfterExit(absl::Duration healthy_for) {
    if (healthy_for >= absl::Seconds(60)) next_ = kFirst;
    const absl::Duration delay = next_;
    next_ = std::min(2 * next_, kLongest);
    return delay;
  }

 private:
  static constexpr absl::Duration kFirst = absl::Milliseconds(100);
  static constexpr absl::Duration kLongest = absl::Seconds(10);
  absl::Duration next_ = kFirst;
};

}  // namespace riseml::supervisor
