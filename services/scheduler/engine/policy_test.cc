// The policy: what is decided about nodes, holdings and jobs that are told all at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "services/scheduler/engine/engine.h"
#include "services/scheduler/engine/test_nodes.h"

namespace riseml::scheduler::engine {
namespace {

// All that an engine is told, and its decisions, by index.
struct Running {
  std::string node;
  Amount amount;
  std::vector<std::string> gpu_uuids;
};
struct PendingJob {
  std::string id;
  std::string gang;
  int priority = 0;
  std::int64_t sequence = 0;
  int shape = 0;
  int next_shape = -1;
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

Plan MakePlan(const Snapshot& snapshot) {
  Engine engine;
  for (const Node& node : snapshot.nodes) engine.Upsert(node);
  int holdings = 0;
  for (const Running& r : snapshot.running)
    engine.Upsert(Holding{absl::StrCat("r", holdings++), r.node, r.amount, r.gpu_uuids, ""});
  std::map<std::string, int> members;
  for (const PendingJob& job : snapshot.pending) ++members[job.gang];
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < snapshot.pending.size(); ++i) {
    const PendingJob& p = snapshot.pending[i];
    index[p.id] = i;
    Job job{.id = p.id, .gang = p.gang, .priority = p.priority, .sequence = p.sequence};
    job.gang_size = p.gang.empty() ? 1 : members[p.gang];
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
                                 static_cast<int>(snapshot_.shapes.size()) - 1});
    return *this;
  }
  Builder& Uses(const std::string& node, std::int64_t cpus, std::vector<std::string> gpus = {}) {
    snapshot_.running.push_back({node, {cpus * 1000, kGb, static_cast<int>(gpus.size())}, gpus});
    return *this;
  }
  const Snapshot& snapshot() const { return snapshot_; }

 private:
  Snapshot snapshot_;
};

// "a>n1 b:NO_CAPACITY", sorted by job.
std::map<std::string, std::string> Outcome(const Snapshot& snapshot) {
  std::map<std::string, std::string> outcome;
  const Plan plan = MakePlan(snapshot);
  for (const Bound& b : plan.bindings) outcome[snapshot.pending[b.job].id] = b.node;
  for (const Waiting& w : plan.waits) outcome[snapshot.pending[w.job].id] = std::string(Name(w.why->reason));
  return outcome;
}

using Map = std::map<std::string, std::string>;

std::string MessageOf(const Snapshot& snapshot, const std::string& job) {
  const Plan plan = MakePlan(snapshot);
  for (const Waiting& w : plan.waits)
    if (snapshot.pending[w.job].id == job) return w.why->message;
  return "";
}

TEST(MakePlan, PlacesJobsOldestFirst) {
  EXPECT_EQ(Outcome(Builder().Nodes({MakeNode("n", 4)}).Job("a", 2).Job("b", 2).Job("c", 1).snapshot()),
            (Map{{"a", "n"}, {"b", "n"}, {"c", "NO_CAPACITY"}}));
}

TEST(MakePlan, AvoidedNodeIsTakenOnlyWhenNoOtherHasRoom) {
  Snapshot snapshot = Builder().Nodes({MakeNode("bad", 2), MakeNode("good", 4)}).Job("a", 2).Job("b", 3).snapshot();
  EXPECT_EQ(Outcome(snapshot), (Map{{"a", "bad"}, {"b", "good"}}));
  snapshot.shapes[0].avoided = {"bad"};
  EXPECT_EQ(Outcome(snapshot), (Map{{"a", "good"}, {"b", "NO_CAPACITY"}}));
  snapshot.nodes.pop_back();
  EXPECT_EQ(Outcome(snapshot).at("a"), "bad");
}

TEST(MakePlan, HigherPriorityGoesFirst) {
  EXPECT_EQ(Outcome(Builder().Nodes({MakeNode("n", 2)}).Job("a", 2).Job("b", 2, 0, 1).snapshot()),
            (Map{{"a", "NO_CAPACITY"}, {"b", "n"}}));
}

TEST(MakePlan, JobThatWaitsForCapacityHoldsBackYoungerOnes) {
  EXPECT_EQ(Outcome(Builder().Nodes({MakeNode("n", 4)}).Uses("n", 2).Job("a", 4).Job("b", 1).Job("c", 4).snapshot()),
            (Map{{"a", "NO_CAPACITY"}, {"b", "BEHIND_OLDER_JOB"}, {"c", "BEHIND_OLDER_JOB"}}));
}

TEST(MakePlan, SmallJobIsPlacedBesideAReservation) {
  // "a" waits for the GPU of "n": what it does not need there, and other nodes, are free for younger jobs.
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("n", 8, 1)})
                        .Uses("n", 1, {"n-gpu0"})
                        .Job("a", 2, 1)
                        .Job("b", 5)
                        .Job("c", 1, 1)
                        .Job("d", 1)
                        .snapshot()),
            (Map{{"a", "NO_CAPACITY"}, {"b", "n"}, {"c", "BEHIND_OLDER_JOB"}, {"d", "BEHIND_OLDER_JOB"}}));
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("m", 2), MakeNode("n", 8)})
                        .Uses("n", 1)
                        .Job("a", 8)
                        .Job("b", 2)
                        .Job("c", 1)
                        .snapshot()),
            (Map{{"a", "NO_CAPACITY"}, {"b", "m"}, {"c", "BEHIND_OLDER_JOB"}}));
}

TEST(MakePlan, NothingIsBuiltForAJobThatNoNodeCanHold) {
  Snapshot snapshot = Builder().Nodes({MakeNode("n", 4)}).Job("build", 1).Job("other", 1).snapshot();
  snapshot.shapes.push_back({{1000, kGb, 1}, {}});
  snapshot.pending[0].next_shape = static_cast<int>(snapshot.shapes.size()) - 1;
  EXPECT_EQ(Outcome(snapshot), (Map{{"build", "TOO_LARGE"}, {"other", "n"}}));
  EXPECT_EQ(MessageOf(snapshot, "build"), "needs 1 GPU, 0 is all that node n has");
}

TEST(MakePlan, HopelessJobHoldsBackNobody) {
  Node other = MakeNode("m", 64);
  other.ready = false;
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("n", 4), other})
                        .Job("a", 65)
                        .Job("b", 8)
                        .Job("c", 1, 0, 0, "", {{"zone", "x"}})
                        .Job("d", 1)
                        .snapshot()),
            (Map{{"a", "TOO_LARGE"}, {"b", "NO_NODE"}, {"c", "NO_MATCHING_NODE"}, {"d", "n"}}));
}

TEST(MakePlan, WithoutNodesEverythingWaits) {
  EXPECT_EQ(Outcome(Builder().Job("a", 1).snapshot()), (Map{{"a", "NO_NODE"}}));
}

TEST(MakePlan, SelectorsChooseNodes) {
  Node labelled = MakeNode("m", 4);
  labelled.labels["zone"] = "x";
  EXPECT_EQ(Outcome(Builder().Nodes({MakeNode("a", 4), labelled}).Job("j", 1, 0, 0, "", {{"zone", "x"}}).snapshot()),
            (Map{{"j", "m"}}));
}

TEST(MakePlan, GpusAreGivenOutInOrderAndOnce) {
  const Snapshot snapshot =
      Builder().Nodes({MakeNode("n", 8, 4)}).Uses("n", 1, {"n-gpu1"}).Job("a", 1, 2).Job("b", 1, 1).snapshot();
  const Plan plan = MakePlan(snapshot);
  ASSERT_EQ(plan.bindings.size(), 2u);
  EXPECT_THAT(plan.bindings[0].gpu_uuids, testing::ElementsAre("n-gpu0", "n-gpu2"));
  EXPECT_THAT(plan.bindings[1].gpu_uuids, testing::ElementsAre("n-gpu3"));
}

TEST(MakePlan, JobsWithoutGpusKeepAwayFromGpuNodes) {
  EXPECT_EQ(Outcome(Builder().Nodes({MakeNode("a", 4, 4), MakeNode("b", 8)}).Job("j", 1).snapshot()),
            (Map{{"j", "b"}}));
}

TEST(MakePlan, GangIsPlacedWholeOrNotAtAll) {
  EXPECT_EQ(Outcome(Builder().Nodes({MakeNode("n", 3)}).Job("a", 2, 0, 0, "g").Job("b", 1, 0, 0, "g").snapshot()),
            (Map{{"a", "n"}, {"b", "n"}}));
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("n", 3)})
                        .Uses("n", 1)
                        .Job("a", 2, 0, 0, "g")
                        .Job("b", 1, 0, 0, "g")
                        .Job("c", 1)
                        .snapshot()),
            (Map{{"a", "NO_CAPACITY"}, {"b", "NO_CAPACITY"}, {"c", "BEHIND_OLDER_JOB"}}));
}

TEST(MakePlan, GangThatNeverFitsHoldsBackNobody) {
  EXPECT_EQ(
      Outcome(Builder().Nodes({MakeNode("n", 3)}).Job("a", 2, 0, 0, "g").Job("b", 2, 0, 0, "g").Job("c", 3).snapshot()),
      (Map{{"a", "TOO_LARGE"}, {"b", "TOO_LARGE"}, {"c", "n"}}));
}

TEST(MakePlan, MessagesSayWhatIsMissingAndWhere) {
  EXPECT_EQ(MessageOf(Builder().Nodes({MakeNode("local", 4)}).Uses("local", 2).Job("a", 4).snapshot(), "a"),
            "needs 4 CPUs, 2 free on node local");
  EXPECT_EQ(MessageOf(Builder().Nodes({MakeNode("local", 4)}).Job("a", 1, 1).snapshot(), "a"),
            "needs 1 GPU, 0 is all that node local has");
  EXPECT_EQ(MessageOf(Builder()
                          .Nodes({MakeNode("local", 4)})
                          .Uses("local", 3)
                          .Job("a", 2, 0, 0, "g")
                          .Job("b", 1, 0, 0, "g")
                          .snapshot(),
                      "b"),
            "all 2 members start together; one needs 2 CPUs, 1 free on node local");
  EXPECT_EQ(MessageOf(Builder()
                          .Nodes({MakeNode("local", 4)})
                          .Uses("local", 1)
                          .Job("a", 2, 0, 0, "g")
                          .Job("b", 2, 0, 0, "g")
                          .snapshot(),
                      "b"),
            "all 2 members start together; one finds no place beside the others");
}

TEST(MakePlan, OvercommittedNodeTakesNothing) {
  EXPECT_EQ(Outcome(Builder().Nodes({MakeNode("n", 2)}).Uses("n", 4).Job("a", 1).snapshot()),
            (Map{{"a", "NO_CAPACITY"}}));
}

// Properties on random clusters.

class Random : public testing::TestWithParam<unsigned> {
 protected:
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  Snapshot Make() {
    Snapshot snapshot;
    const int nodes = 1 + Below(6);
    for (int i = 0; i < nodes; ++i) {
      Node node = MakeNode(absl::StrCat("n", i), 1 + Below(16), Below(3) == 0 ? 1 + Below(8) : 0);
      node.ready = Below(5) != 0;
      if (Below(2) == 0) node.labels["zone"] = absl::StrCat(Below(2));
      snapshot.nodes.push_back(std::move(node));
    }
    for (int i = 0; i < 1 + Below(6); ++i) {
      Shape shape{{100 * (1 + Below(80)), (1 + Below(8)) * kGb, Below(3) == 0 ? 1 + Below(4) : 0}, {}};
      if (Below(4) == 0) shape.selectors["zone"] = absl::StrCat(Below(2));
      snapshot.shapes.push_back(std::move(shape));
    }
    const int jobs = Below(40);
    for (int i = 0; i < jobs; ++i) {
      snapshot.pending.push_back({absl::StrCat("j", i), Below(3) == 0 ? absl::StrCat("g", Below(5)) : "", Below(3),
                                  Below(100), Below(static_cast<int>(snapshot.shapes.size()))});
    }
    return snapshot;
  }
  static Snapshot Apply(const Snapshot& before, const Plan& plan) {
    Snapshot after = before;
    after.pending.clear();
    for (const Bound& b : plan.bindings) {
      const PendingJob& job = before.pending[b.job];
      after.running.push_back({b.node, before.shapes[static_cast<std::size_t>(job.shape)].amount, b.gpu_uuids});
    }
    for (const Waiting& w : plan.waits) after.pending.push_back(before.pending[w.job]);
    return after;
  }
  // The snapshot with the plan carried out, so that plans start from clusters in use.
  Snapshot MakeBusy() {
    const Snapshot before = Make();
    Snapshot after = Apply(before, MakePlan(before));
    const Snapshot more = Make();
    after.pending.clear();
    after.shapes = more.shapes;
    after.pending = more.pending;
    return after;
  }

  std::mt19937 random_{GetParam()};
};

TEST_P(Random, EachJobHasExactlyOneAction) {
  for (int round = 0; round < 20; ++round) {
    const Snapshot snapshot = MakeBusy();
    const Plan plan = MakePlan(snapshot);
    std::set<std::size_t> seen;
    for (const Bound& b : plan.bindings) EXPECT_TRUE(seen.insert(b.job).second);
    for (const Waiting& w : plan.waits) EXPECT_TRUE(seen.insert(w.job).second);
    EXPECT_EQ(seen.size(), snapshot.pending.size());
  }
}

TEST_P(Random, NoNodeIsOvercommittedAndNoGpuGivenTwice) {
  for (int round = 0; round < 20; ++round) {
    const Snapshot before = MakeBusy();
    const Snapshot after = Apply(before, MakePlan(before));
    std::map<std::string, Amount> used;
    std::set<std::string> gpus;
    for (const Running& r : after.running) {
      used[r.node].cpu_millis += r.amount.cpu_millis;
      used[r.node].memory_bytes += r.amount.memory_bytes;
      used[r.node].gpus += r.amount.gpus;
      EXPECT_EQ(static_cast<int>(r.gpu_uuids.size()), r.amount.gpus);
      for (const std::string& gpu : r.gpu_uuids) {
        EXPECT_TRUE(gpus.insert(gpu).second) << gpu;
        EXPECT_EQ(gpu.rfind(r.node + "-", 0), 0u);
      }
    }
    for (const Node& node : after.nodes) EXPECT_TRUE(Fits(used[node.name], CapacityOf(node))) << node.name;
  }
}

TEST_P(Random, BindingsGoToReadyMatchingNodes) {
  for (int round = 0; round < 20; ++round) {
    const Snapshot snapshot = MakeBusy();
    for (const Bound& b : MakePlan(snapshot).bindings) {
      const auto node = std::ranges::find(snapshot.nodes, b.node, &Node::name);
      ASSERT_NE(node, snapshot.nodes.end());
      EXPECT_TRUE(node->ready);
      EXPECT_TRUE(Matches(*node, snapshot.shapes[static_cast<std::size_t>(snapshot.pending[b.job].shape)].selectors));
    }
  }
}

TEST_P(Random, GangsAreAtomic) {
  for (int round = 0; round < 20; ++round) {
    const Snapshot snapshot = MakeBusy();
    const Plan plan = MakePlan(snapshot);
    std::set<std::string> bound, waiting;
    for (const Bound& b : plan.bindings) bound.insert(snapshot.pending[b.job].gang);
    for (const Waiting& w : plan.waits) waiting.insert(snapshot.pending[w.job].gang);
    for (const std::string& gang : bound) EXPECT_TRUE(gang.empty() || !waiting.contains(gang)) << gang;
  }
}

TEST_P(Random, PlanDoesNotDependOnTheOrderOfTheInput) {
  for (int round = 0; round < 20; ++round) {
    Snapshot snapshot = MakeBusy();
    const auto before = Outcome(snapshot);
    std::ranges::shuffle(snapshot.nodes, random_);
    std::ranges::shuffle(snapshot.running, random_);
    std::ranges::shuffle(snapshot.pending, random_);
    EXPECT_EQ(Outcome(snapshot), before);
  }
}

TEST_P(Random, SecondRunOnTheResultBindsNothing) {
  for (int round = 0; round < 20; ++round) {
    const Snapshot before = MakeBusy();
    EXPECT_TRUE(MakePlan(Apply(before, MakePlan(before))).bindings.empty());
  }
}

TEST_P(Random, AnotherNodeNeverUnbindsASingleJob) {
  for (int round = 0; round < 20; ++round) {
    Snapshot snapshot = MakeBusy();
    // Equal shapes and no gangs: with unequal ones a job that was hopeless before may rightly hold back younger ones.
    snapshot.shapes.resize(1);
    snapshot.shapes[0].selectors.clear();
    for (PendingJob& job : snapshot.pending) {
      job.shape = 0;
      job.gang.clear();
    }
    const Plan before = MakePlan(snapshot);
    snapshot.nodes.push_back(MakeNode("extra", 1 + Below(16), Below(4)));
    const auto after = Outcome(snapshot);
    const std::set<std::string> reasons = {"NO_CAPACITY", "BEHIND_OLDER_JOB", "TOO_LARGE", "NO_MATCHING_NODE",
                                           "NO_NODE"};
    for (const Bound& b : before.bindings) EXPECT_FALSE(reasons.contains(after.at(snapshot.pending[b.job].id)));
  }
}

// Whatever is placed, the oldest job that waits for capacity starts as soon as enough of what runs today has ended.
TEST_P(Random, YoungerJobsDoNotDelayTheFirstThatWaits) {
  for (int round = 0; round < 20; ++round) {
    const Snapshot before = MakeBusy();
    const Plan plan = MakePlan(before);
    std::optional<std::size_t> head;
    for (const Waiting& w : plan.waits)
      if (w.why->reason == WaitReason::kNoCapacity && !head) head = w.job;
    if (!head || !before.pending[*head].gang.empty()) continue;
    const auto rank = [&](std::size_t job) {
      const PendingJob& j = before.pending[job];
      return std::tuple(-j.priority, j.sequence, j.id);
    };
    Snapshot later = before;
    later.running.clear();
    Plan younger;
    for (const Bound& b : plan.bindings)
      if (rank(b.job) > rank(*head) && before.pending[b.job].gang.empty()) younger.bindings.push_back(b);
    later = Apply(later, younger);
    later.pending = {before.pending[*head]};
    EXPECT_EQ(MakePlan(later).bindings.size(), 1u) << "seed " << GetParam() << " round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Random, testing::Range(0u, 50u));

TEST(MakePlan, HundredThousandJobsOnAThousandNodes) {
  Snapshot snapshot;
  for (int i = 0; i < 1000; ++i) snapshot.nodes.push_back(MakeNode(absl::StrCat("n", i), 16, 8));
  for (int i = 0; i < 10; ++i) snapshot.shapes.push_back({{1000 + 100 * i, kGb, 1}, {}});
  snapshot.shapes.push_back({{1'000'000, kGb, 0}, {}});
  for (int i = 0; i < 100'000; ++i) snapshot.pending.push_back({absl::StrCat("j", i), "", 0, i, i % 11});
  const Plan plan = MakePlan(snapshot);
  EXPECT_EQ(plan.bindings.size(), 8000u);
  EXPECT_EQ(plan.waits.size(), 92'000u);
}

}  // namespace
}  // namespace riseml::scheduler::engine
