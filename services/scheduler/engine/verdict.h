// Explains why a shape waits, for programs and for people.
#pragma once

#include <cstddef>

#include "services/scheduler/engine/ledger.h"
#include "services/scheduler/engine/types.h"

namespace riseml::scheduler::engine {

// The ready node that could hold the shape when idle and lacks the least now; nullptr when there is none.
const Ledger::Entry* Closest(const Ledger& now, const Shape& shape);

// Says which resource is missing on the closest node. A closest node must exist.
Verdict NoCapacity(const Ledger& now, const Shape& shape);

// Says why no ready node can take the shape even when idle: too large, no node with the labels, or nodes not ready.
Verdict Hopeless(const Ledger& idle, const Shape& shape);

// Says why a gang waits. `shape` is that of the first member without a place. `could`: on an idle cluster, the whole
// gang would fit.
Verdict GangVerdict(Ledger& now, Ledger& idle, const Shape& shape, std::size_t members, bool could);

}  // namespace riseml::scheduler::engine
