// Orders waiting jobs and gangs for one decision: users take turns.
//
// Higher priority goes first, then the user who holds the smaller dominant share of the cluster (Ghodsi et al.,
// "Dominant Resource Fairness", NSDI 2011), then the older job. A user's dominant share is the largest of their shares
// of the CPUs, of the memory and of the GPUs.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "services/scheduler/engine/ledger.h"
#include "services/scheduler/engine/queue.h"
#include "services/scheduler/engine/types.h"

namespace riseml::scheduler::engine {

// Knowledge of one decision about a shape.
struct Judged {
  Ledger::Entry* hint = nullptr;  // node of the last binding
  VerdictPtr verdict;             // why jobs of the shape wait from now on
};

// A lane with its next job, or a gang.
struct Unit {
  Lane* lane;
  Judged* judged;
  const std::set<Key>* gang;
  std::set<Key>::const_iterator at;
  std::size_t placed = 0;                                              // jobs of the lane in this decision
  bool operator<(const Unit& other) const { return *other.at < *at; }  // the first in order is on top of the heap
};

// Lives for one decision. Each call takes logarithmic time in the number of users and of a user's units.
class Turns {
 public:
  // `held`: what each user holds now. `total`: what the cluster has.
  Turns(const std::map<std::string, Amount>& held, const Amount& total) : held_(held), total_(total) {}

  void Push(const std::string& user, const Unit& unit);
  // Removes the first in order and returns it with its user; nullopt when nothing is left.
  std::optional<std::pair<std::string, Unit>> Pop();
  // Adds `amount` to what the user holds.
  void Took(const std::string& user, const Amount& amount);

 private:
  // Negated priority, dominant share, sequence, id of the first job.
  using Rank = std::tuple<int, double, std::int64_t, std::string>;
  struct User {
    Amount held;
    std::priority_queue<Unit> units;
    std::optional<std::set<std::pair<Rank, std::string>>::iterator> place;  // in order_; nullopt without units
  };

  User& Find(const std::string& name);
  // Updates the user's place in the order.
  void Place(const std::string& name, User& user);
  double ShareOf(const Amount& held) const;

  const std::map<std::string, Amount>& held_;
  const Amount total_;
  std::unordered_map<std::string, User> users_;  // by name
  std::set<std::pair<Rank, std::string>> order_;
};

}  // namespace riseml::scheduler::engine
