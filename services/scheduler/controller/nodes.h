// From what the controller knows to what the engine looks at.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/scheduler/controller/state.h"
#include "services/scheduler/engine/snapshot.h"

namespace riseml::scheduler {

// Nodes as the engine and api are to see them: not ready while never heard, or silent for longer than `silence_limit`.
std::vector<v1::Node> PresentNodes(const State& state, absl::Time now, absl::Duration silence_limit);

// When a node that is heard now will count as silent if nothing more comes from it; InfiniteFuture without one.
absl::Time NextSilence(const State& state, absl::Time now, absl::Duration silence_limit);

std::vector<engine::Node> EngineNodes(const std::vector<v1::Node>& nodes);

// Nodes, live attempts and candidates. Ids of pending jobs are UUIDs; a gang is in it only when all its members are
// candidates.
engine::Snapshot SnapshotOf(const State& state, std::vector<engine::Node> nodes);

}  // namespace riseml::scheduler
