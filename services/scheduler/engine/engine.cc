#include "services/scheduler/engine/engine.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "services/scheduler/engine/turns.h"
#include "services/scheduler/engine/verdict.h"

namespace riseml::scheduler::engine {
namespace {

VerdictPtr Share(Verdict verdict) { return std::make_shared<const Verdict>(std::move(verdict)); }

// One decision over all waiting jobs.
class Round {
 public:
  Round(Ledger& now, Ledger& idle, Queue& queue, const std::map<std::string, Amount>& held)
      : now_(now), idle_(idle), queue_(queue), turns_(held, idle.Capacity()) {}

  Decisions Make() {
    for (auto& [key, lane] : queue_.lanes()) {
      if (const VerdictPtr next = NextIsHopeless(lane.next)) {
        Wait({&lane, nullptr, nullptr, lane.jobs.begin()}, next, next);
      } else {
        turns_.Push(lane.user, {&lane, &judged_[lane.shape], nullptr, lane.jobs.begin()});
      }
    }
    for (const auto& [name, members] : queue_.gangs()) {
      const Job& first = queue_.job(*members.begin());
      if (static_cast<int>(members.size()) >= first.gang_size)
        turns_.Push(first.user, {nullptr, nullptr, &members, members.begin()});
    }
    while (auto turn = turns_.Pop()) {
      auto& [user, unit] = *turn;
      if (unit.gang != nullptr) {
        PlaceGang(user, *unit.gang);
      } else if (Place(unit)) {
        turns_.Took(user, unit.lane->shape.amount);
        ++unit.placed;
        if (++unit.at != unit.lane->jobs.end()) turns_.Push(user, unit);
      }
    }
    now_.Rollback();
    idle_.Rollback();
    return std::move(decisions_);
  }

 private:
  // Returns true if the next job of the lane found a place; otherwise it and all behind it wait.
  bool Place(const Unit& unit) {
    const Shape& shape = unit.lane->shape;
    Judged& judged = *unit.judged;
    if (judged.verdict != nullptr) return Wait(unit, judged.verdict, judged.verdict);
    if (!closed_) {
      if (Ledger::Entry* const entry = now_.Find(shape, judged.hint)) {
        judged.hint = entry;
        decisions_.starts.push_back(
            {{std::get<std::string>(*unit.at), entry->node.name, now_.Take(*entry, shape.amount)}});
        return true;
      }
    }
    const bool could = idle_.Find(shape) != nullptr;
    if (!could || blocked_) {
      judged.verdict = could ? BehindOlder() : Share(Hopeless(idle_, shape));
      return Wait(unit, judged.verdict, judged.verdict);
    }
    const VerdictPtr verdict = Share(NoCapacity(now_, shape));
    now_.Reserve(Closest(now_, shape)->node.name, shape.amount);
    blocked_ = true;
    judged.verdict = BehindOlder();
    return Wait(unit, verdict, judged.verdict);
  }

  // Always false.
  bool Wait(const Unit& unit, const VerdictPtr& at_head, const VerdictPtr& behind) {
    queue_.TellLane(*unit.lane, *unit.at, at_head, behind, &decisions_.waits);
    Count(*at_head, 1);
    Count(*behind, unit.lane->jobs.size() - unit.placed - 1);
    return false;
  }

  void PlaceGang(const std::string& user, const std::set<Key>& gang) {
    std::vector<const Job*> members;
    for (const Key& key : gang) members.push_back(&queue_.job(key));
    // Large members go first: small ones fit into the rest.
    std::ranges::stable_sort(members, [](const Job* a, const Job* b) {
      const Amount &x = a->shape.amount, &y = b->shape.amount;
      return std::tuple(y.gpus, y.cpu_millis, y.memory_bytes) < std::tuple(x.gpus, x.cpu_millis, x.memory_bytes);
    });
    Group group;
    const Job* lacks_now = nullptr;
    if (!closed_ && (lacks_now = TakeAll(members, now_, &group)) == nullptr) {
      decisions_.starts.push_back(std::move(group));
      for (const Job* member : members) turns_.Took(user, member->shape.amount);
      return;
    }
    const Job* const lacks_idle = TakeAll(members, idle_, nullptr);
    const bool could = lacks_idle == nullptr;
    VerdictPtr verdict;
    if (could && blocked_) {
      verdict = BehindOlder();
    } else {
      verdict = Share(GangVerdict(now_, idle_, (could ? lacks_now : lacks_idle)->shape, members.size(), could));
      if (could) blocked_ = closed_ = true;
    }
    for (const Key& key : gang) queue_.Tell(key, verdict, &decisions_.waits);
    Count(*verdict, members.size());
  }

  // Places all members, or none and returns the first without a place. Without `group` it gives everything back.
  static const Job* TakeAll(const std::vector<const Job*>& members, Ledger& ledger, Group* group) {
    struct Taken {
      Ledger::Entry* entry;
      const Amount* amount;
      std::vector<std::string> gpus;
    };
    std::vector<Taken> taken;
    const Job* lacks = nullptr;
    for (const Job* member : members) {
      Ledger::Entry* const entry = ledger.Find(member->shape);
      if (entry == nullptr) {
        lacks = member;
        break;
      }
      const Amount& amount = member->shape.amount;
      taken.push_back({entry, &amount, ledger.Take(*entry, amount)});
      if (group != nullptr) group->push_back({member->id, entry->node.name, taken.back().gpus});
    }
    if (lacks != nullptr || group == nullptr)
      for (auto it = taken.rbegin(); it != taken.rend(); ++it) ledger.GiveBack(*it->entry, *it->amount, it->gpus);
    return lacks;
  }

  // Says why no node can ever hold the job that waits for this one; nullptr if one can, or might once it is ready.
  VerdictPtr NextIsHopeless(const std::optional<Shape>& next) {
    if (!next || idle_.Find(*next) != nullptr) return nullptr;
    Verdict verdict = Hopeless(idle_, *next);
    return IsHopeless(verdict.reason) ? Share(std::move(verdict)) : nullptr;
  }

  const VerdictPtr& BehindOlder() {
    if (behind_older_ == nullptr)
      behind_older_ =
          Share({WaitReason::kBehindOlderJob,
                 {},
                 "waits behind a job that goes first: older, of higher priority, or of a user who holds less"});
    return behind_older_;
  }

  void Count(const Verdict& verdict, std::size_t jobs) {
    decisions_.waiting[static_cast<std::size_t>(verdict.reason)] += jobs;
  }

  Ledger& now_;
  Ledger& idle_;
  Queue& queue_;
  std::map<Shape, Judged> judged_;
  Turns turns_;
  VerdictPtr behind_older_;
  bool blocked_ = false;  // a job that goes first waits for capacity
  bool closed_ = false;   // nothing more is placed
  Decisions decisions_;
};

}  // namespace

void Engine::Upsert(const Node& node) {
  now_.Put(node);
  idle_.Put(node);
}

void Engine::Upsert(const Holding& holding) {
  const auto known = holdings_.find(holding.id);
  if (known != holdings_.end() && known->second == holding) return;
  RemoveHolding(holding.id);
  holdings_.emplace(holding.id, holding);
  now_.Hold(holding);
  held_[holding.user] += holding.amount;
  if (!holding.gang.empty()) of_gang_[holding.gang].insert(holding.id);
}

void Engine::RemoveNode(const std::string& name) {
  now_.Remove(name);
  idle_.Remove(name);
}

void Engine::RemoveHolding(const std::string& id) {
  const auto it = holdings_.find(id);
  if (it == holdings_.end()) return;
  if (const auto gang = of_gang_.find(it->second.gang); gang != of_gang_.end()) {
    gang->second.erase(id);
    if (gang->second.empty()) of_gang_.erase(gang);
  }
  now_.Release(id);
  const auto held = held_.find(it->second.user);
  if ((held->second -= it->second.amount) == Amount{}) held_.erase(held);
  holdings_.erase(it);
}

Decisions Engine::Decide() {
  Decisions decisions = Round(now_, idle_, queue_, held_).Make();
  decisions.evictions = Evictions();
  return decisions;
}

void Engine::CatchUp(const std::string& gang, const std::string& member) {
  const auto it = left_behind_.find(gang);
  if (it == left_behind_.end()) return;
  it->second.erase(member);
  if (it->second.empty()) left_behind_.erase(it);
}

std::vector<Eviction> Engine::Evictions() const {
  std::vector<Eviction> evictions;
  for (const auto& [gang, members] : left_behind_) {
    const auto holders = of_gang_.find(gang);
    if (holders == of_gang_.end()) continue;
    for (const std::string& id : holders->second)
      if (!holdings_.at(id).evicted) evictions.push_back({id, *members.begin()});
  }
  return evictions;
}

}  // namespace riseml::scheduler::engine
