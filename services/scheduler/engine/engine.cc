#include "services/scheduler/engine/plan.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/scheduler/engine/ledger.h"

namespace riseml::scheduler::engine {
namespace {

constexpr absl::string_view kReasonNames[] = {"NO_CAPACITY", "BEHIND_OLDER_JOB", "TOO_LARGE", "NO_MATCHING_NODE",
                                              "NO_NODE"};

// Jobs that are placed together, in the order they are considered.
struct Unit {
  std::vector<std::size_t> jobs;
};

// "4", "0.5", "1.25".
std::string Cores(std::int64_t millis) { return absl::StrCat(static_cast<double>(millis) / 1000); }

std::string Memory(std::int64_t bytes) {
  if (bytes >= 1'000'000'000) return absl::StrFormat("%.4g GB", static_cast<double>(bytes) / 1e9);
  return absl::StrFormat("%.4g MB", static_cast<double>(bytes) / 1e6);
}

class Planner {
 public:
  explicit Planner(const Snapshot& snapshot)
      : snapshot_(snapshot), now_(Ledger::Of(snapshot, false)), idle_(Ledger::Of(snapshot, true)) {
    hints_.resize(snapshot.shapes.size());
    verdicts_.resize(snapshot.shapes.size());
  }

  Plan Make() {
    for (const Unit& unit : Units()) {
      if (unit.jobs.size() == 1) {
        Single(unit.jobs[0]);
      } else {
        Gang(unit.jobs);
      }
    }
    return std::move(plan_);
  }

 private:
  std::vector<Unit> Units() const {
    std::vector<std::size_t> order(snapshot_.pending.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      const PendingJob &x = snapshot_.pending[a], &y = snapshot_.pending[b];
      return std::tie(y.priority, x.sequence, x.id) < std::tie(x.priority, y.sequence, y.id);
    });
    std::vector<Unit> units;
    std::unordered_map<std::string, std::size_t> unit_of_gang;
    for (const std::size_t job : order) {
      const std::string& gang = snapshot_.pending[job].gang;
      if (!gang.empty()) {
        const auto [it, is_new] = unit_of_gang.emplace(gang, units.size());
        if (!is_new) {
          units[it->second].jobs.push_back(job);
          continue;
        }
      }
      units.push_back({{job}});
    }
    return units;
  }

  const Shape& ShapeOf(std::size_t job) const {
    return snapshot_.shapes[static_cast<std::size_t>(snapshot_.pending[job].shape)];
  }

  void Single(std::size_t job) {
    const auto shape = static_cast<std::size_t>(snapshot_.pending[job].shape);
    if (const auto verdict = NextIsHopeless(snapshot_.pending[job].next_shape)) return AddWait(job, *verdict);
    if (verdicts_[shape]) return AddWait(job, *verdicts_[shape]);  // judged before; nothing has become free since
    if (!closed_) {
      if (const auto node = now_.Find(snapshot_.shapes[shape], hints_[shape])) {
        hints_[shape] = node;
        plan_.bindings.push_back(
            {job, now_.entries()[*node].node->name, now_.Take(*node, snapshot_.shapes[shape].amount)});
        return;
      }
    }
    const bool could = idle_.Find(snapshot_.shapes[shape], std::nullopt).has_value();
    if (could && blocked_) {
      verdicts_[shape] = BehindOlder();
      return AddWait(job, *verdicts_[shape]);
    }
    verdicts_[shape] = AddVerdict(could ? NoCapacity(snapshot_.shapes[shape]) : Hopeless(snapshot_.shapes[shape]));
    AddWait(job, *verdicts_[shape]);
    if (could) {
      Block(shape);
      now_.Reserve(*Closest(snapshot_.shapes[shape]), snapshot_.shapes[shape].amount);
    }
  }

  void Gang(std::vector<std::size_t> jobs) {
    // Large members first: small ones fit into what they leave.
    std::ranges::stable_sort(jobs, [&](std::size_t a, std::size_t b) {
      const Amount &x = ShapeOf(a).amount, &y = ShapeOf(b).amount;
      return std::tuple(y.gpus, y.cpu_millis, y.memory_bytes) < std::tuple(x.gpus, x.cpu_millis, x.memory_bytes);
    });
    std::size_t failed = 0;
    if (!closed_) {
      std::vector<Binding> bindings;
      if (Place(jobs, now_, true, &bindings, &failed)) {
        for (Binding& binding : bindings) plan_.bindings.push_back(std::move(binding));
        return;
      }
    }
    std::size_t failed_idle = 0;
    const bool could = Place(jobs, idle_, false, nullptr, &failed_idle);
    std::size_t verdict;
    if (could && blocked_) {
      verdict = BehindOlder();
    } else {
      const Shape& shape = ShapeOf(jobs[could ? failed : failed_idle]);
      verdict = AddVerdict(GangVerdict(shape, jobs.size(), could));
      if (could) {
        Block(std::nullopt);
        closed_ = true;
      }
    }
    for (const std::size_t job : jobs) AddWait(job, verdict);
  }

  // Why a gang waits of which a member with this shape was the first without a place.
  Verdict GangVerdict(const Shape& shape, std::size_t members, bool could) const {
    const bool alone = (could ? now_ : idle_).Find(shape, std::nullopt).has_value();
    Verdict verdict = alone   ? Verdict{could ? WaitReason::kNoCapacity : WaitReason::kTooLarge, {}, "finds no place"}
                      : could ? NoCapacity(shape)
                              : Hopeless(shape);
    verdict.metadata["members"] = absl::StrCat(members);
    verdict.message = absl::StrCat("all ", members, " members start together; one ", verdict.message);
    if (alone) absl::StrAppend(&verdict.message, could ? " beside the others" : " beside the others on any node");
    return verdict;
  }

  // Places all jobs or none; without `keep` the ledger is as before in any case. `failed` is the first that does not
  // fit.
  bool Place(const std::vector<std::size_t>& jobs, Ledger& ledger, bool keep, std::vector<Binding>* bindings,
             std::size_t* failed) {
    struct Taken {
      std::size_t entry;
      Amount amount;
      std::vector<std::string> gpus;
    };
    std::vector<Taken> taken;
    bool all = true;
    for (std::size_t i = 0; i < jobs.size() && all; ++i) {
      const Shape& shape = ShapeOf(jobs[i]);
      const auto node = ledger.Find(shape, std::nullopt);
      if (!node) {
        *failed = i;
        all = false;
        break;
      }
      taken.push_back({*node, shape.amount, ledger.Take(*node, shape.amount)});
      if (bindings != nullptr) bindings->push_back({jobs[i], ledger.entries()[*node].node->name, taken.back().gpus});
    }
    if (!all || !keep)
      for (auto it = taken.rbegin(); it != taken.rend(); ++it) ledger.GiveBack(it->entry, it->amount, it->gpus);
    return all;
  }

  // Verdict about a job that no node can ever hold; absent if one can, or might once it is ready.
  std::optional<std::size_t> NextIsHopeless(int shape) {
    if (shape < 0) return std::nullopt;
    const Shape& next = snapshot_.shapes[static_cast<std::size_t>(shape)];
    if (idle_.Find(next, std::nullopt)) return std::nullopt;
    Verdict verdict = Hopeless(next);
    if (!IsHopeless(verdict.reason)) return std::nullopt;
    return AddVerdict(std::move(verdict));
  }

  // From now on, verdicts about capacity say that an older job comes first.
  void Block(std::optional<std::size_t> shape) {
    blocked_ = true;
    if (shape) verdicts_[*shape] = BehindOlder();
  }

  std::size_t BehindOlder() {
    if (!behind_older_) behind_older_ = AddVerdict({WaitReason::kBehindOlderJob, {}, "waits behind an older job"});
    return *behind_older_;
  }

  // The ready node that could hold the shape when idle and lacks the least now.
  std::optional<std::size_t> Closest(const Shape& shape) const {
    const auto missing = [&](const Ledger::Entry& e) {
      return std::tuple((shape.amount.gpus > e.free.gpus) + (shape.amount.cpu_millis > e.free.cpu_millis) +
                            (shape.amount.memory_bytes > e.free.memory_bytes),
                        -e.free.gpus, -e.free.cpu_millis);
    };
    std::optional<std::size_t> closest;
    for (std::size_t i = 0; i < now_.entries().size(); ++i) {
      const Ledger::Entry& entry = now_.entries()[i];
      if (!entry.node->ready || !Matches(*entry.node, shape.selectors)) continue;
      if (!Fits(shape.amount, CapacityOf(*entry.node))) continue;
      if (!closest || missing(entry) < missing(now_.entries()[*closest])) closest = i;
    }
    return closest;
  }

  // The missing resource on the ready node that comes closest.
  Verdict NoCapacity(const Shape& shape) const {
    const Ledger::Entry* const closest = &now_.entries()[*Closest(shape)];
    return Describe(WaitReason::kNoCapacity, shape, closest->free, "free on node ", closest->node->name);
  }

  // No ready node can take it even when idle: which is it, too large, or nodes away?
  Verdict Hopeless(const Shape& shape) const {
    if (snapshot_.nodes.empty()) return {WaitReason::kNoNode, {}, "no node has reported yet"};
    const Node* largest = nullptr;
    const Node* away = nullptr;
    const auto size = [](const Node& n) { return std::tuple(n.gpu_uuids.size(), n.cpu_millis, n.memory_bytes); };
    for (const Ledger::Entry& entry : idle_.entries()) {
      const Node& node = *entry.node;
      if (!Matches(node, shape.selectors)) continue;
      if (largest == nullptr || size(*largest) < size(node)) largest = &node;
      if (!node.ready && away == nullptr && Fits(shape.amount, CapacityOf(node))) away = &node;
    }
    if (largest == nullptr) return {WaitReason::kNoMatchingNode, {}, "no node has the labels it asks for"};
    if (away != nullptr) {
      return {WaitReason::kNoNode,
              {{"node", away->name}},
              absl::StrCat("node ", away->name, " is not ready", away->message.empty() ? "" : ": ", away->message)};
    }
    return Describe(WaitReason::kTooLarge, shape, CapacityOf(*largest), "is all that node ",
                    absl::StrCat(largest->name, " has"));
  }

  static Verdict Describe(WaitReason reason, const Shape& shape, const Amount& there, absl::string_view where,
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

  std::size_t AddVerdict(Verdict verdict) {
    plan_.verdicts.push_back(std::move(verdict));
    return plan_.verdicts.size() - 1;
  }
  void AddWait(std::size_t job, std::size_t verdict) { plan_.waits.push_back({job, verdict}); }

  const Snapshot& snapshot_;
  Ledger now_, idle_;
  std::vector<std::optional<std::size_t>> hints_;     // by shape: node of the last binding
  std::vector<std::optional<std::size_t>> verdicts_;  // by shape: why it waits
  std::optional<std::size_t> behind_older_;
  bool blocked_ = false;  // an older job waits for capacity
  bool closed_ = false;   // nothing more is placed
  Plan plan_;
};

}  // namespace

bool IsHopeless(WaitReason reason) { return reason == WaitReason::kTooLarge || reason == WaitReason::kNoMatchingNode; }

absl::string_view Name(WaitReason reason) { return kReasonNames[static_cast<int>(reason)]; }

Plan MakePlan(const Snapshot& snapshot) { return Planner(snapshot).Make(); }

}  // namespace riseml::scheduler::engine
