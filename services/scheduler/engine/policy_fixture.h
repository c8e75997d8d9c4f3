// Fixture of the policy tests: a whole cluster is given to a new engine at once.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/scheduler/engine/engine.h"
#include "services/scheduler/engine/test_nodes.h"

namespace riseml::scheduler::engine {

// Everything an engine is told. Jobs refer to shapes by index.
struct Running {
  std::string node;
  Amount amount;
  std::vector<std::string> gpu_uuids;
  std::string user = {};
};
struct PendingJob {
  std::string id;
  std::string gang;
  int priority = 0;
  std::int64_t sequence = 0;
  int shape = 0;
  int next_shape = -1;
  std::string user = {};
};
struct Snapshot {
  std::vector<Node> nodes;
  std::vector<Running> running;
  std::vector<Shape> shapes;
  std::vector<PendingJob> pending;
};
struct Bound {
  std::size_t job = 0;
  std::string node;
  std::vector<std::string> gpu_uuids;
};
struct Waiting {
  std::size_t job = 0;
  VerdictPtr why;
};
struct Plan {
  std::vector<Bound> bindings;
  std::vector<Waiting> waits;
};

// Returns the decisions of an engine that was told the snapshot. Jobs are named by their index.
inline Plan MakePlan(const Snapshot& snapshot) {
  Engine engine;
  for (const Node& node : snapshot.nodes) engine.Upsert(node);
  int holdings = 0;
  for (const Running& r : snapshot.running)
    engine.Upsert(Holding{absl::StrCat("r", holdings++), r.node, r.amount, r.gpu_uuids, "", false, r.user});
  std::map<std::string, int> members;
  for (const PendingJob& job : snapshot.pending) ++members[job.gang];
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < snapshot.pending.size(); ++i) {
    const PendingJob& p = snapshot.pending[i];
    index[p.id] = i;
    Job job{.id = p.id, .gang = p.gang, .priority = p.priority, .sequence = p.sequence};
    job.gang_size = p.gang.empty() ? 1 : members[p.gang];
    job.user = p.user;
    job.shape = snapshot.shapes[static_cast<std::size_t>(p.shape)];
    if (p.next_shape >= 0) job.next = snapshot.shapes[static_cast<std::size_t>(p.next_shape)];
    engine.Upsert(job);
  }
  const Decisions decisions = engine.Decide();
  Plan plan;
  for (const Group& group : decisions.starts)
    for (const Binding& b : group) plan.bindings.push_back({index.at(b.job), b.node, b.gpu_uuids});
  for (const Wait& wait : decisions.waits) plan.waits.push_back({index.at(wait.job), wait.why});
  std::size_t counted = 0;
  for (const std::size_t count : decisions.waiting) counted += count;
  EXPECT_EQ(counted, plan.waits.size());
  return plan;
}

// Adds jobs in the order of their arrival.
class Builder {
 public:
  Builder& Nodes(std::vector<Node> nodes) {
    snapshot_.nodes = std::move(nodes);
    return *this;
  }
  Builder& Job(const std::string& id, std::int64_t cpus, int gpus = 0, int priority = 0, const std::string& gang = "",
               std::map<std::string, std::string> selectors = {}) {
    snapshot_.shapes.push_back({{cpus * 1000, kGb, gpus}, std::move(selectors)});
    snapshot_.pending.push_back({id, gang, priority, static_cast<std::int64_t>(snapshot_.pending.size()),
                                 static_cast<int>(snapshot_.shapes.size()) - 1, -1, user_});
    return *this;
  }
  Builder& Uses(const std::string& node, std::int64_t cpus, std::vector<std::string> gpus = {}) {
    snapshot_.running.push_back({node, {cpus * 1000, kGb, static_cast<int>(gpus.size())}, gpus, user_});
    return *this;
  }
  // Assigns everything that follows to this user.
  Builder& Of(const std::string& user) {
    user_ = user;
    return *this;
  }
  const Snapshot& snapshot() const { return snapshot_; }

 private:
  Snapshot snapshot_;
  std::string user_;
};

// "a>n1 b:NO_CAPACITY", sorted by job.
inline std::map<std::string, std::string> Outcome(const Snapshot& snapshot) {
  std::map<std::string, std::string> outcome;
  const Plan plan = MakePlan(snapshot);
  for (const Bound& b : plan.bindings) outcome[snapshot.pending[b.job].id] = b.node;
  for (const Waiting& w : plan.waits) outcome[snapshot.pending[w.job].id] = std::string(Name(w.why->reason));
  return outcome;
}

}  // namespace riseml::scheduler::engine
