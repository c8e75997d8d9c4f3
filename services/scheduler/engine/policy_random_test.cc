// Tests properties of the policy on random clusters, and one large cluster.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/scheduler/engine/policy_fixture.h"

namespace riseml::scheduler::engine {
namespace {

class RandomPolicy : public testing::TestWithParam<unsigned> {
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
                                  Below(100), Below(static_cast<int>(snapshot.shapes.size())), -1,
                                  absl::StrCat("u", Below(users_))});
    }
    return snapshot;
  }
  static Snapshot Apply(const Snapshot& before, const Plan& plan) {
    Snapshot after = before;
    after.pending.clear();
    for (const Bound& b : plan.bindings) {
      const PendingJob& job = before.pending[b.job];
      after.running.push_back(
          {b.node, before.shapes[static_cast<std::size_t>(job.shape)].amount, b.gpu_uuids, job.user});
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
  int users_ = 3;
};

TEST_P(RandomPolicy, EachJobHasExactlyOneAction) {
  for (int round = 0; round < 20; ++round) {
    const Snapshot snapshot = MakeBusy();
    const Plan plan = MakePlan(snapshot);
    std::set<std::size_t> seen;
    for (const Bound& b : plan.bindings) EXPECT_TRUE(seen.insert(b.job).second);
    for (const Waiting& w : plan.waits) EXPECT_TRUE(seen.insert(w.job).second);
    EXPECT_EQ(seen.size(), snapshot.pending.size());
  }
}

TEST_P(RandomPolicy, NoNodeIsOvercommittedAndNoGpuGivenTwice) {
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

TEST_P(RandomPolicy, BindingsGoToReadyMatchingNodes) {
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

TEST_P(RandomPolicy, GangsAreAtomic) {
  for (int round = 0; round < 20; ++round) {
    const Snapshot snapshot = MakeBusy();
    const Plan plan = MakePlan(snapshot);
    std::set<std::string> bound, waiting;
    for (const Bound& b : plan.bindings) bound.insert(snapshot.pending[b.job].gang);
    for (const Waiting& w : plan.waits) waiting.insert(snapshot.pending[w.job].gang);
    for (const std::string& gang : bound) EXPECT_TRUE(gang.empty() || !waiting.contains(gang)) << gang;
  }
}

TEST_P(RandomPolicy, PlanDoesNotDependOnTheOrderOfTheInput) {
  for (int round = 0; round < 20; ++round) {
    Snapshot snapshot = MakeBusy();
    const auto before = Outcome(snapshot);
    std::ranges::shuffle(snapshot.nodes, random_);
    std::ranges::shuffle(snapshot.running, random_);
    std::ranges::shuffle(snapshot.pending, random_);
    EXPECT_EQ(Outcome(snapshot), before);
  }
}

// Between users the second run may bind more: whoever went first in the first run may hold more than others by then.
TEST_P(RandomPolicy, SecondRunOnTheResultBindsNothing) {
  users_ = 1;
  for (int round = 0; round < 20; ++round) {
    const Snapshot before = MakeBusy();
    EXPECT_TRUE(MakePlan(Apply(before, MakePlan(before))).bindings.empty());
  }
}

TEST_P(RandomPolicy, AnotherNodeNeverUnbindsASingleJob) {
  users_ = 1;
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

// Whatever is placed of one user, the oldest job that waits for capacity starts as soon as enough of what runs today
// has ended.
TEST_P(RandomPolicy, YoungerJobsDoNotDelayTheFirstThatWaits) {
  users_ = 1;
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

INSTANTIATE_TEST_SUITE_P(Seeds, RandomPolicy, testing::Range(0u, 50u));

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
