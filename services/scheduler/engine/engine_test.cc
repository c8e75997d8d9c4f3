// The engine over time: what it is told bit by bit gives the same decisions as if it were told all at once, and it says
// only what is new.
#include "services/scheduler/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "services/scheduler/engine/test_nodes.h"

namespace riseml::scheduler::engine {
namespace {

Job MakeJob(const std::string& id, std::int64_t cpus, std::int64_t sequence = 0) {
  return {.id = id, .sequence = sequence, .shape = {{cpus * 1000, kGb, 0}, {}}};
}

Job Member(const std::string& id, std::int64_t cpus, const std::string& gang, int size) {
  Job job = MakeJob(id, cpus);
  job.gang = gang;
  job.gang_size = size;
  return job;
}

// "a>n b>n | c:NO_CAPACITY".
std::string Text(const Decisions& decisions) {
  std::string text;
  for (const Group& group : decisions.starts)
    for (const Binding& b : group) absl::StrAppend(&text, b.job, ">", b.node, " ");
  absl::StrAppend(&text, "|");
  for (const Wait& wait : decisions.waits) absl::StrAppend(&text, " ", wait.job, ":", Name(wait.why->reason));
  return text;
}

TEST(Engine, SaysWhyAJobWaitsOnceUntilTheReasonChanges) {
  Engine engine;
  engine.Upsert(MakeNode("n", 4));
  engine.Upsert(MakeJob("a", 8));
  EXPECT_EQ(Text(engine.Decide()), "| a:TOO_LARGE");
  EXPECT_EQ(Text(engine.Decide()), "|");
  engine.Upsert(MakeJob("a", 8));
  EXPECT_EQ(Text(engine.Decide()), "|") << "an equal job changes nothing";
  engine.RemoveJob("a");
  engine.Upsert(MakeJob("a", 8));
  EXPECT_EQ(Text(engine.Decide()), "| a:TOO_LARGE") << "it is new";
  Node away = MakeNode("m", 8);
  away.ready = false;
  engine.Upsert(away);
  EXPECT_EQ(Text(engine.Decide()), "| a:NO_NODE");
}

TEST(Engine, OnlyNewJobsAndTheFirstAreToldWhenOthersKeepTheirReason) {
  Engine engine;
  engine.Upsert(MakeNode("n", 4));
  engine.Upsert(Holding{"r", "n", {4000, kGb, 0}, {}, ""});
  for (const char* id : {"a", "b", "c"}) engine.Upsert(MakeJob(id, 2));
  EXPECT_EQ(Text(engine.Decide()), "| a:NO_CAPACITY b:BEHIND_OLDER_JOB c:BEHIND_OLDER_JOB");
  engine.Upsert(MakeJob("d", 2));
  EXPECT_EQ(Text(engine.Decide()), "| d:BEHIND_OLDER_JOB");
  engine.RemoveJob("a");
  EXPECT_EQ(Text(engine.Decide()), "| b:NO_CAPACITY");
  engine.Upsert(MakeJob("a", 2));
  EXPECT_EQ(Text(engine.Decide()), "| a:NO_CAPACITY b:BEHIND_OLDER_JOB");
}

TEST(Engine, JobThatIsToStartIsDecidedAgainUntilItIsRemoved) {
  Engine engine;
  engine.Upsert(MakeNode("n", 2));
  engine.Upsert(MakeJob("a", 2));
  engine.Upsert(MakeJob("b", 2));
  EXPECT_EQ(Text(engine.Decide()), "a>n | b:NO_CAPACITY");
  EXPECT_EQ(Text(engine.Decide()), "a>n |");
  engine.RemoveJob("a");
  EXPECT_EQ(Text(engine.Decide()), "b>n |");
  engine.Upsert(Holding{"a/1", "n", {2000, kGb, 0}, {}, ""});
  EXPECT_EQ(Text(engine.Decide()), "|") << "b waits as it was told before";
  engine.RemoveHolding("a/1");
  EXPECT_EQ(Text(engine.Decide()), "b>n |");
}

TEST(Engine, HoldingCountsAlsoBeforeItsNodeIsKnownAndWhenTheNodeChanges) {
  Engine engine;
  engine.Upsert(Holding{"r", "n", {1000, kGb, 1}, {"n-gpu0"}, ""});
  Job job = MakeJob("a", 1);
  job.shape.amount.gpus = 1;
  engine.Upsert(job);
  engine.Upsert(MakeNode("n", 4, 1));
  EXPECT_EQ(Text(engine.Decide()), "| a:NO_CAPACITY");
  engine.Upsert(MakeNode("n", 4, 2));
  const Decisions decisions = engine.Decide();
  ASSERT_EQ(decisions.starts.size(), 1u);
  EXPECT_THAT(decisions.starts[0][0].gpu_uuids, testing::ElementsAre("n-gpu1"));
  engine.RemoveNode("n");
  EXPECT_EQ(Text(engine.Decide()), "| a:NO_NODE");
}

TEST(Engine, GpuThatTwoHoldIsFreeOnlyWhenBothAreGone) {
  Engine engine;
  engine.Upsert(MakeNode("n", 8, 1));
  engine.Upsert(Holding{"r", "n", {0, 0, 1}, {"n-gpu0"}, ""});
  engine.Upsert(Holding{"stray", "n", {0, 0, 1}, {"n-gpu0"}, ""});
  Job job = MakeJob("a", 1);
  job.shape.amount.gpus = 1;
  engine.Upsert(job);
  engine.RemoveHolding("r");
  EXPECT_EQ(Text(engine.Decide()), "| a:NO_CAPACITY");
  engine.RemoveHolding("stray");
  EXPECT_EQ(Text(engine.Decide()), "a>n |");
}

TEST(Engine, NothingIsDecidedAboutAGangBeforeAllItsMembersWait) {
  Engine engine;
  engine.Upsert(MakeNode("n", 4));
  engine.Upsert(Member("a", 1, "g", 2));
  EXPECT_EQ(Text(engine.Decide()), "|");
  engine.Upsert(Member("b", 1, "g", 2));
  const Decisions decisions = engine.Decide();
  ASSERT_EQ(decisions.starts.size(), 1u) << "they are one group";
  EXPECT_EQ(decisions.starts[0].size(), 2u);
}

TEST(Engine, MembersOfAGangGiveBackWhatTheyHoldWhenOneIsLeftBehind) {
  Engine engine;
  engine.Upsert(MakeNode("n", 4));
  Holding holding{"b/1", "n", {1000, kGb, 0}, {}, "g"};
  engine.Upsert(holding);
  engine.Upsert(Holding{"other", "n", {1000, kGb, 0}, {}, ""});
  EXPECT_TRUE(engine.Decide().evictions.empty());
  engine.LeaveBehind("g", "a");
  for (int i = 0; i < 2; ++i) {
    const Decisions decisions = engine.Decide();
    ASSERT_EQ(decisions.evictions.size(), 1u) << "until it is told that it was done";
    EXPECT_EQ(decisions.evictions[0].holding, "b/1");
    EXPECT_EQ(decisions.evictions[0].left_behind, "a");
    EXPECT_TRUE(decisions.starts.empty());
  }
  holding.evicted = true;
  engine.Upsert(holding);
  EXPECT_TRUE(engine.Decide().evictions.empty());
  holding.evicted = false;
  engine.Upsert(holding);
  engine.CatchUp("g", "a");
  EXPECT_TRUE(engine.Decide().evictions.empty());
}

// Random changes, and after each some decisions, which are carried out in part.
class RandomChanges : public testing::TestWithParam<unsigned> {
 protected:
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  void ChangeNode() {
    const std::string name = absl::StrCat("n", Below(4));
    if (Below(4) == 0) {
      nodes_.erase(name);
      engine_.RemoveNode(name);
      return;
    }
    Node node = MakeNode(name, 1 + Below(12), Below(2) == 0 ? Below(4) : 0);
    node.ready = Below(6) != 0;
    if (Below(2) == 0) node.labels["zone"] = "x";
    nodes_[name] = node;
    engine_.Upsert(node);
  }
  void ChangeJob() {
    const std::string id = absl::StrCat("j", Below(40));
    if (Below(3) == 0) {
      jobs_.erase(id);
      engine_.RemoveJob(id);
      return;
    }
    Job job = MakeJob(id, 1 + Below(4), Below(20));
    job.priority = Below(2);
    job.shape.amount.gpus = Below(4) == 0 ? 1 : 0;
    if (Below(5) == 0) job.shape.selectors["zone"] = "x";
    if (Below(6) == 0) job.shape.avoided = {"n0"};
    if (Below(6) == 0) job.next = Shape{{1000 * (1 + Below(14)), kGb, 0}, {}};
    if (Below(4) == 0) {
      job.gang = absl::StrCat("g", Below(3));
      job.gang_size = 2;
    }
    jobs_[id] = job;
    engine_.Upsert(job);
  }
  void Carry(const Group& group) {
    for (const Binding& b : group) {
      const Job job = jobs_.at(b.job);
      Holding holding{b.job + "/1", b.node, job.shape.amount, b.gpu_uuids, job.gang};
      holdings_[holding.id] = holding;
      engine_.Upsert(holding);
      jobs_.erase(b.job);
      engine_.RemoveJob(b.job);
    }
  }
  void EndSome() {
    for (auto it = holdings_.begin(); it != holdings_.end();) {
      if (Below(4) != 0) {
        ++it;
        continue;
      }
      engine_.RemoveHolding(it->first);
      it = holdings_.erase(it);
    }
  }
  Decisions Anew() const {
    Engine fresh;
    for (const auto& [id, job] : jobs_) fresh.Upsert(job);
    for (const auto& [id, holding] : holdings_) fresh.Upsert(holding);
    for (const auto& [name, node] : nodes_) fresh.Upsert(node);
    return fresh.Decide();
  }

  std::mt19937 random_{GetParam()};
  Engine engine_;
  std::map<std::string, Node> nodes_;
  std::map<std::string, Job> jobs_;
  std::map<std::string, Holding> holdings_;
};

TEST_P(RandomChanges, GiveTheSameDecisionsAsToldAllAtOnce) {
  std::map<std::string, std::string> told;  // by job, as whoever listens knows it
  for (int round = 0; round < 60; ++round) {
    for (int i = Below(6); i >= 0; --i) Below(3) == 0 ? ChangeNode() : ChangeJob();
    if (Below(3) == 0) EndSome();
    const Decisions decisions = engine_.Decide();
    const Decisions anew = Anew();
    const auto starts = [](const Decisions& d) {
      Decisions only{.starts = d.starts};
      return Text(only);
    };
    ASSERT_EQ(starts(decisions), starts(anew)) << "seed " << GetParam() << " round " << round;
    EXPECT_EQ(decisions.waiting, anew.waiting);
    for (const Wait& wait : decisions.waits) told[wait.job] = wait.why->message;
    for (const Wait& wait : anew.waits) EXPECT_EQ(told[wait.job], wait.why->message) << wait.job;
    for (const Group& group : decisions.starts)
      if (Below(2) == 0) Carry(group);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomChanges, testing::Range(0u, 30u));

}  // namespace
}  // namespace riseml::scheduler::engine
