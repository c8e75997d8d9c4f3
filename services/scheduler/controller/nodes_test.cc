// Nodes that fall silent, vanish, are cordoned, or are used by others too.
#include "services/scheduler/controller/test_world.h"

namespace riseml::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class NodesTest : public ControllerTest {
 protected:
  void RunJob(const std::string& uid) {
    w_.Add(uid);
    w_.node->Run({uid, 1});
    w_.Settle();
    ASSERT_EQ(w_.api.Outcome(uid), "RUNNING 1");
  }
  // Time passes without a sign of life.
  void Silence(absl::Duration duration) {
    for (absl::Duration d; d < duration; d += absl::Seconds(30)) {
      w_.clock.Advance(absl::Seconds(30));
      w_.Settle();
    }
  }
};

TEST_F(NodesTest, AttemptOnASilentNodeIsLostAfterTheLimitAndNotBefore) {
  RunJob("a");
  w_.cluster.Disconnect("local");
  Silence(absl::Minutes(14));
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  Silence(absl::Minutes(2));
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 1");
  const internal::v1::Observation& lost = w_.api.observations().back();
  EXPECT_EQ(lost.reason(), "NODE_LOST");
  EXPECT_EQ(lost.message(), "node local has been silent for 15m");
  EXPECT_EQ(lost.exit_class(), v1::Attempt::INFRASTRUCTURE);
}

TEST_F(NodesTest, ConnectionWithoutSignsOfLifeIsSilenceToo) {
  RunJob("a");
  Silence(absl::Minutes(16));
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 1");
}

TEST_F(NodesTest, SignsOfLifeKeepAnAttemptForever) {
  RunJob("a");
  for (int i = 0; i < 40; ++i) w_.Advance(absl::Seconds(30));
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
}

TEST_F(NodesTest, WhatALostNodeStillRunsIsStoppedWhenItComesBackAndHoldsItsPlaceUntilThen) {
  RunJob("a");
  w_.cluster.Disconnect("local");
  Silence(absl::Minutes(16));
  w_.Add("b", [](Work& work) { work.mutable_resources()->set_cpus(4); });
  w_.cluster.before = [](const std::string& call) {
    return call == "Stop" ? absl::UnavailableError("lost") : absl::OkStatus();
  };
  w_.cluster.Connect("local");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("b"), "PENDING 0") << "the stray still runs there";
  w_.cluster.before = [](const std::string&) { return absl::OkStatus(); };
  w_.Advance(absl::Seconds(10));
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
  EXPECT_THAT(w_.node->List(), testing::SizeIs(1)) << "of b only";
}

TEST_F(NodesTest, NextAttemptStartsWhenTheLostOneHasEndedOrItsNodeIsAway) {
  RunJob("a");
  w_.cluster.Disconnect("local");
  Silence(absl::Minutes(16));
  ASSERT_EQ(w_.api.Outcome("a"), "FAILED 1");
  w_.cluster.before = [](const std::string& call) {
    return call == "Stop" ? absl::UnavailableError("lost") : absl::OkStatus();
  };
  w_.cluster.Connect("local");
  w_.api.Change("a", [](Work& work) { work.set_state(v1::Job::PENDING); });  // tried again
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 2");
  EXPECT_EQ(w_.node->starts({"a", 2}), 0) << "the first one still writes to the output";
  w_.cluster.before = [](const std::string&) { return absl::OkStatus(); };
  w_.Advance(absl::Seconds(20));
  EXPECT_EQ(w_.node->starts({"a", 2}), 1);
}

TEST_F(NodesTest, ApiIsToldWhatAnAttemptLeaves) {
  RunJob("a");
  w_.node->Leave({"a", 1}, 5000);
  w_.node->Exit({"a", 1}, 0);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "FINISHED 1");
  EXPECT_THAT(w_.Events("a"), ElementsAre("STARTED 1", "EXITED 1")) << "once";
  EXPECT_EQ(w_.api.observations().back().output().bytes(), 5000);
  EXPECT_THAT(w_.node->List(), testing::IsEmpty());
}

TEST_F(NodesTest, WhatALostAttemptLeavesIsToldBeforeItIsForgotten) {
  RunJob("a");
  w_.cluster.Disconnect("local");
  Silence(absl::Minutes(16));
  ASSERT_EQ(w_.api.Outcome("a"), "FAILED 1");
  w_.node->Leave({"a", 1}, 5000);
  w_.node->Exit({"a", 1}, 0);
  w_.cluster.Connect("local");
  w_.Settle();
  EXPECT_THAT(w_.Events("a"), ElementsAre("STARTED 1", "LOST 1", "EXITED 1"));
  EXPECT_EQ(w_.api.observations().back().output().bytes(), 5000);
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 1");
  EXPECT_THAT(w_.node->List(), testing::IsEmpty());
}

TEST_F(NodesTest, LostAttemptOnASilentNodeDoesNotHoldUpTheNextElsewhere) {
  RunJob("a");
  w_.cluster.Disconnect("local");
  Silence(absl::Minutes(16));
  auto other = std::make_shared<FakeNode>();
  w_.cluster.AddNode("other", other, Inventory(4));
  w_.api.Change("a", [](Work& work) { work.set_state(v1::Job::PENDING); });
  w_.Settle();
  EXPECT_EQ(other->starts({"a", 2}), 1);
  w_.cluster.Disconnect("other");
}

TEST_F(NodesTest, AttemptOnANodeThatHasVanishedIsLostAfterTheLimit) {
  RunJob("a");
  w_.cluster.RemoveNode("local");
  Silence(absl::Minutes(14));
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  EXPECT_THAT(w_.api.nodes(), testing::IsEmpty());
  Silence(absl::Minutes(2));
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 1");
  EXPECT_EQ(w_.api.observations().back().message(), "node local does not exist any more");
}

TEST_F(NodesTest, NewLeaderWaitsForTheWholeLimit) {
  RunJob("a");
  w_.cluster.RemoveNode("local");
  Silence(absl::Minutes(14));
  w_.Start();
  Silence(absl::Minutes(14));
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  Silence(absl::Minutes(2));
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 1");
}

TEST_F(NodesTest, NodeThatAppearsTakesJobs) {
  w_.Add("large", [](Work& work) { work.mutable_resources()->set_cpus(8); });
  EXPECT_EQ(w_.api.Outcome("large"), "PENDING 0");
  auto other = std::make_shared<FakeNode>();
  w_.cluster.AddNode("other", other, Inventory(8));
  w_.Settle();
  EXPECT_EQ(w_.api.placements().at("large").node(), "other");
  w_.cluster.Disconnect("other");
}

TEST_F(NodesTest, CordonedNodeTakesNoNewJobsAndKeepsItsOld) {
  RunJob("a");
  v1::Node cordoned = Inventory(4, 2);
  cordoned.set_cordoned(true);
  w_.cluster.SetInventory("local", cordoned);
  w_.Add("b");
  EXPECT_EQ(w_.api.work("b").wait_reason(), "NO_NODE");
  EXPECT_THAT(w_.api.work("b").wait_message(), HasSubstr("it is cordoned"));
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  w_.cluster.SetInventory("local", Inventory(4, 2));
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
}

TEST_F(NodesTest, WhatOthersUseIsNotGivenOut) {
  v1::Node shared = Inventory(4, 2);
  shared.set_foreign_cpus(1.5);
  shared.mutable_gpus(0)->set_foreign(true);
  w_.cluster.SetInventory("local", shared);
  w_.Add("gpu", [](Work& work) { work.mutable_resources()->set_gpus(1); });
  EXPECT_THAT(w_.api.placements().at("gpu").gpu_uuids(), ElementsAre("GPU-1"));
  w_.Add("b", [](Work& work) { work.mutable_resources()->set_cpus(2); });
  EXPECT_EQ(w_.api.work("b").wait_message(), "needs 2 CPUs, 1.5 free on node local");
}

TEST_F(NodesTest, DriftIsLogged) {
  RunJob("a");
  testing::internal::CaptureStderr();
  w_.node->Drift({"a", 1}, "its image was changed");
  w_.Settle();
  w_.Settle();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("event=attempt_drifted"));
  EXPECT_THAT(log, HasSubstr("its image was changed"));
  EXPECT_EQ(log.find("attempt_drifted"), log.rfind("attempt_drifted")) << "once";
}

}  // namespace
}  // namespace riseml::scheduler
