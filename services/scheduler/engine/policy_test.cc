// Tests which jobs the policy places, where, and why others wait.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "services/scheduler/engine/policy_fixture.h"

namespace riseml::scheduler::engine {
namespace {

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

TEST(MakePlan, GangWaitsForANodeThatIsNotReady) {
  Node away = MakeNode("m", 2);
  away.ready = false;
  away.message = "is silent";
  const Snapshot snapshot =
      Builder().Nodes({MakeNode("n", 2), away}).Job("a", 2, 0, 0, "g").Job("b", 2, 0, 0, "g").snapshot();
  EXPECT_EQ(Outcome(snapshot), (Map{{"a", "NO_NODE"}, {"b", "NO_NODE"}}));
  EXPECT_EQ(MessageOf(snapshot, "a"),
            "all 2 members start together; one finds no place beside the others: node m is not ready: is silent");
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

}  // namespace
}  // namespace riseml::scheduler::engine
