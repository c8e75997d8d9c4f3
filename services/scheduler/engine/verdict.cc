#include "services/scheduler/engine/verdict.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace riseml::scheduler::engine {
namespace {

// "4", "0.5", "1.25".
std::string Cores(std::int64_t millis) { return absl::StrCat(static_cast<double>(millis) / 1000); }

std::string Memory(std::int64_t bytes) {
  if (bytes >= 1'000'000'000) return absl::StrFormat("%.4g GB", static_cast<double>(bytes) / 1e9);
  return absl::StrFormat("%.4g MB", static_cast<double>(bytes) / 1e6);
}

Verdict Describe(WaitReason reason, const Shape& shape, const Amount& there, absl::string_view where,
                 absl::string_view node) {
  Verdict verdict{reason, {{"node", std::string(node)}}, ""};
  const auto fill = [&](absl::string_view resource, const std::string& needed, const std::string& available,
                        absl::string_view unit) {
    verdict.metadata["resource"] = std::string(resource);
    verdict.metadata["needed"] = needed;
    verdict.metadata["available"] = available;
    verdict.message = absl::StrCat("needs ", needed, unit, ", ", available, " ", where, node);
  };
  if (shape.amount.gpus > there.gpus) {
    fill("gpus", absl::StrCat(shape.amount.gpus), absl::StrCat(std::max(there.gpus, 0)),
         shape.amount.gpus == 1 ? " GPU" : " GPUs");
  } else if (shape.amount.cpu_millis > there.cpu_millis) {
    fill("cpus", Cores(shape.amount.cpu_millis), Cores(std::max<std::int64_t>(there.cpu_millis, 0)),
         shape.amount.cpu_millis == 1000 ? " CPU" : " CPUs");
  } else {
    fill("memory", Memory(shape.amount.memory_bytes), Memory(std::max<std::int64_t>(there.memory_bytes, 0)),
         " of memory");
  }
  return verdict;
}

// Returns a node that could hold the shape once it is ready; nullptr if there is none.
const Node* Away(const Ledger& idle, const Shape& shape) {
  for (const auto& [name, entry] : idle.entries())
    if (!entry.node.ready && Matches(entry.node, shape.selectors) && Fits(shape.amount, CapacityOf(entry.node)))
      return &entry.node;
  return nullptr;
}

Verdict NotReady(const Node& node) {
  return {WaitReason::kNoNode,
          {{"node", node.name}},
          absl::StrCat("node ", node.name, " is not ready", node.message.empty() ? "" : ": ", node.message)};
}

}  // namespace

const Ledger::Entry* Closest(const Ledger& now, const Shape& shape) {
  const auto missing = [&](const Ledger::Entry& e) {
    return std::tuple((shape.amount.gpus > e.free.gpus) + (shape.amount.cpu_millis > e.free.cpu_millis) +
                          (shape.amount.memory_bytes > e.free.memory_bytes),
                      -e.free.gpus, -e.free.cpu_millis);
  };
  const Ledger::Entry* closest = nullptr;
  for (const auto& [name, entry] : now.entries()) {
    if (!entry.node.ready || !Matches(entry.node, shape.selectors)) continue;
    if (!Fits(shape.amount, CapacityOf(entry.node))) continue;
    if (closest == nullptr || missing(entry) < missing(*closest)) closest = &entry;
  }
  return closest;
}

Verdict NoCapacity(const Ledger& now, const Shape& shape) {
  const Ledger::Entry* const closest = Closest(now, shape);
  return Describe(WaitReason::kNoCapacity, shape, closest->free, "free on node ", closest->node.name);
}

Verdict Hopeless(const Ledger& idle, const Shape& shape) {
  if (idle.entries().empty()) return {WaitReason::kNoNode, {}, "no node has reported yet"};
  const Node* largest = nullptr;
  const auto size = [](const Node& n) { return std::tuple(n.gpu_uuids.size(), n.cpu_millis, n.memory_bytes); };
  for (const auto& [name, entry] : idle.entries()) {
    const Node& node = entry.node;
    if (!Matches(node, shape.selectors)) continue;
    if (largest == nullptr || size(*largest) < size(node)) largest = &node;
  }
  if (largest == nullptr) {
    const std::string labels = absl::StrJoin(shape.selectors, ", ", absl::PairFormatter("="));
    return {WaitReason::kNoMatchingNode, {{"labels", labels}}, absl::StrCat("no node has the labels ", labels)};
  }
  if (const Node* const away = Away(idle, shape)) return NotReady(*away);
  return Describe(WaitReason::kTooLarge, shape, CapacityOf(*largest), "is all that node ",
                  absl::StrCat(largest->name, " has"));
}

Verdict GangVerdict(Ledger& now, Ledger& idle, const Shape& shape, std::size_t members, bool could) {
  const bool alone = (could ? now : idle).Find(shape) != nullptr;
  const Node* const away = alone && !could ? Away(idle, shape) : nullptr;
  Verdict verdict = away != nullptr ? NotReady(*away)
                    : alone         ? Verdict{could ? WaitReason::kNoCapacity : WaitReason::kTooLarge, {}, ""}
                    : could         ? NoCapacity(now, shape)
                                    : Hopeless(idle, shape);
  if (away != nullptr) {
    verdict.message = absl::StrCat("finds no place beside the others: ", verdict.message);
  } else if (alone) {
    verdict.message = absl::StrCat("finds no place beside the others", could ? "" : " on any node");
  }
  verdict.metadata["members"] = absl::StrCat(members);
  verdict.message = absl::StrCat("all ", members, " members start together; one ", verdict.message);
  return verdict;
}

}  // namespace riseml::scheduler::engine
