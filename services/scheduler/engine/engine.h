// Decides which waiting jobs run where. Pure and deterministic: the same snapshot gives the same plan.
//
// Order: higher priority first, then the older job (lower sequence); a gang stands where its first member stands. An
// older job that cannot be placed now, but could on an idle cluster, gets a reservation on the node that lacks the
// least for it. A younger job is placed only where it leaves the reservation alone (backfill); nothing is placed behind
// a gang that waits. Jobs that fit no ready node even when idle hold back nobody, and what is built for such a job is
// not built.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/scheduler/engine/snapshot.h"

namespace riseml::scheduler::engine {

enum class WaitReason {
  kNoCapacity,      // fits a ready node when others have left it
  kBehindOlderJob,  // an older job waits for capacity
  kTooLarge,        // larger than every node
  kNoMatchingNode,  // no node has the labels it asks for
  kNoNode,          // every node that could take it is not ready
};

// True if only another node could help.
bool IsHopeless(WaitReason reason);

// "NO_CAPACITY" ….
absl::string_view Name(WaitReason reason);

// Why jobs wait: the code, facts for programs, a sentence for people.
struct Verdict {
  WaitReason reason = WaitReason::kNoCapacity;
  std::map<std::string, std::string> metadata;  // e.g. resource=cpus needed=4 free=2 node=local
  std::string message;                          // e.g. "needs 4 CPUs, 2 free on node local"
};

struct Binding {
  std::size_t job = 0;  // index into Snapshot::pending
  std::string node;
  std::vector<std::string> gpu_uuids;
};

struct Wait {
  std::size_t job = 0;      // index into Snapshot::pending
  std::size_t verdict = 0;  // index into Plan::verdicts
};

// Each pending job is in exactly one of bindings and waits; both are in the order jobs were considered.
struct Plan {
  std::vector<Binding> bindings;
  std::vector<Wait> waits;
  std::vector<Verdict> verdicts;
};

// Time: pending jobs times log, plus nodes once for each shape and each node filled.
Plan MakePlan(const Snapshot& snapshot);

}  // namespace riseml::scheduler::engine
