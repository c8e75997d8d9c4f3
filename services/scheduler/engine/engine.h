// Decides which waiting jobs run where. Deterministic: the same nodes, holdings and jobs give the same decisions, in
// whatever order they were told.
//
// Order: higher priority first, then the user who holds the smaller share of the cluster (turns.h), then the older job
// (lower sequence); a gang stands where its first member stands. The first job in order that cannot be placed now, but
// could on an idle cluster, gets a reservation on the node that lacks the least for it. A later job is placed only
// where it leaves the reservation alone (backfill); nothing is placed behind a gang that waits. Jobs that fit no ready
// node even when idle hold back nobody, and no environment is built for such a job.
#pragma once

#include <map>
#include <set>
#include <string>

#include "services/scheduler/engine/ledger.h"
#include "services/scheduler/engine/queue.h"
#include "services/scheduler/engine/types.h"

namespace riseml::scheduler::engine {

// Keeps its inputs until they are replaced or removed. Lives on one thread.
class Engine {
 public:
  // Each replaces what was known by the same name or id; an equal one changes nothing.
  void Upsert(const Node& node);
  void Upsert(const Holding& holding);
  void Upsert(const Job& job) { queue_.Put(job); }
  // Unknown names and ids are ignored.
  void RemoveNode(const std::string& name);
  void RemoveHolding(const std::string& id);
  void RemoveJob(const std::string& id) { queue_.Remove(id); }
  // Notes that a member of a gang has to wait while other members hold resources: those members are evicted, and the
  // gang is placed anew. Counts until CatchUp withdraws it, even while the member itself may not be placed.
  void LeaveBehind(const std::string& gang, const std::string& member) { left_behind_[gang].insert(member); }
  void CatchUp(const std::string& gang, const std::string& member);

  // Decides anew for all waiting jobs. A job counts as placed only once its holding is told, and counts as waiting
  // until it is removed. Time: (jobs that start + lanes + gangs) times the number of nodes.
  Decisions Decide();

 private:
  std::vector<Eviction> Evictions() const;

  Ledger now_, idle_;  // with all holdings, and with none
  Queue queue_;
  std::map<std::string, Holding> holdings_;                   // by id
  std::map<std::string, Amount> held_;                        // by user; without those who hold nothing
  std::map<std::string, std::set<std::string>> of_gang_;      // ids of holdings by gang
  std::map<std::string, std::set<std::string>> left_behind_;  // ids of members by gang
};

}  // namespace riseml::scheduler::engine
