// Attempts and nodes.
#include "services/scheduler/controller/test_world.h"

namespace riseml::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(ControllerTest, JobRunsAndFinishes) {
  w_.Add("a");
  EXPECT_EQ(w_.node->starts({"a", 1}), 1);
  EXPECT_EQ(w_.node->request({"a", 1}).token(), "token-a-1");
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 1");
  w_.node->Run({"a", 1});
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  w_.node->Exit({"a", 1}, 0);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "FINISHED 1");
  EXPECT_THAT(w_.Events("a"), ElementsAre("STARTED 1", "EXITED 1"));
  EXPECT_THAT(w_.node->List(), IsEmpty()) << "the end is recorded: the node may forget";
}

TEST_F(ControllerTest, OnePassFromSubmissionToStart) {
  w_.api.Add("a");
  w_.controller->Pass();
  EXPECT_EQ(w_.node->starts({"a", 1}), 1);
}

TEST_F(ControllerTest, ExitCodeAndClassReachApi) {
  w_.Add("a");
  w_.node->Exit({"a", 1}, 3);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 1");
  const Observation& end = w_.api.observations().back();
  EXPECT_EQ(end.exit_code(), 3);
  EXPECT_EQ(end.exit_class(), v1::Attempt::USER_ERROR);
  EXPECT_THAT(w_.Events("a"), ElementsAre("STARTED 1", "EXITED 1")) << "it ran, although nobody saw it";
}

TEST_F(ControllerTest, GpusOfAPlacementReachTheNode) {
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_gpus(1); });
  w_.Add("b", [](Work& work) { work.mutable_resources()->set_gpus(1); });
  EXPECT_THAT(w_.node->request({"a", 1}).gpu_uuids(), ElementsAre("GPU-0"));
  EXPECT_THAT(w_.node->request({"b", 1}).gpu_uuids(), ElementsAre("GPU-1"));
}

TEST_F(ControllerTest, JobWithoutRoomWaitsWithAReasonAndStartsWhenThereIsRoom) {
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_cpus(3); });
  w_.Add("b", [](Work& work) { work.mutable_resources()->set_cpus(2); });
  EXPECT_EQ(w_.api.work("b").wait_reason(), "NO_CAPACITY");
  EXPECT_EQ(w_.api.work("b").wait_message(), "needs 2 CPUs, 1 free on node local");
  w_.node->Exit({"a", 1}, 0);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
}

TEST_F(ControllerTest, Case24RequestThatNoNodeCanHoldFailsAtOnce) {
  w_.impossible_after = absl::ZeroDuration();
  w_.Start();
  w_.Settle();
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_gpus(3); });
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 0");
  EXPECT_THAT(w_.Events("a"), ElementsAre("IMPOSSIBLE 0"));
  EXPECT_EQ(w_.api.observations().back().reason(), "TOO_LARGE");
  EXPECT_EQ(w_.api.observations().back().message(),
            "needs 3 GPUs, 2 is all that node local has; ask for less under 'resources:'");
}

TEST_F(ControllerTest, Case24BuildForAJobThatNoNodeCanHoldFailsAtOnce) {
  w_.impossible_after = absl::ZeroDuration();
  w_.Start();
  w_.Settle();
  w_.api.Add("b", [](Work& work) {
    World::Build("pip install x")(work);
    work.mutable_next_resources()->set_cpus(5);
  });
  w_.Settle();
  EXPECT_THAT(w_.Events("b"), ElementsAre("IMPOSSIBLE 0"));
}

TEST_F(ControllerTest, Case24OnAClusterARequestThatNoNodeCanHoldWaitsForAnotherNode) {
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_gpus(3); });
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
  EXPECT_EQ(w_.api.work("a").wait_reason(), "TOO_LARGE");
  w_.Advance(absl::Minutes(9));
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
  w_.Advance(absl::Minutes(1));
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 0");
}

TEST_F(ControllerTest, Case24NothingIsImpossibleBeforeEveryNodeHasReported) {
  w_.impossible_after = absl::ZeroDuration();
  w_.cluster.AddNode("other", std::make_shared<FakeNode>(), Inventory(1));
  w_.cluster.Disconnect("other");
  w_.Start();
  w_.Settle();
  w_.Advance(absl::Seconds(3));
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_gpus(3); });
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
}

TEST_F(ControllerTest, ReasonIsRecordedOnceAndItsMessageRarely) {
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_cpus(3); });
  w_.Add("b", [](Work& work) { work.mutable_resources()->set_cpus(4); });
  const auto version = w_.api.work("b").version();
  w_.Add("c");
  w_.Settle();
  EXPECT_EQ(w_.api.work("b").version(), version);
}

TEST_F(ControllerTest, KillOfARunningJobStopsIt) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  w_.api.Kill("a");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "KILLED 1");
  EXPECT_THAT(w_.Events("a"), ElementsAre("STARTED 1", "STOPPED 1"));
}

TEST_F(ControllerTest, ExitBeforeTheKillWins) {
  w_.Add("a");
  w_.node->Exit({"a", 1}, 0);
  w_.api.Kill("a");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "FINISHED 1");
}

TEST_F(ControllerTest, KillWhileTheStartIsOnItsWayIsStoppedAndNeverStarted) {
  w_.cluster.before = [](const std::string&) { return absl::UnavailableError("away"); };
  w_.Add("a");
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 1");
  w_.api.Kill("a");
  w_.cluster.before = [](const std::string&) { return absl::OkStatus(); };
  w_.Advance(absl::Seconds(1));
  EXPECT_EQ(w_.api.Outcome("a"), "KILLED 1");
  EXPECT_EQ(w_.node->starts({"a", 1}), 0);
}

TEST_F(ControllerTest, KilledWaitingJobIsNotPlaced) {
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_cpus(4); });
  w_.Add("b", [](Work& work) { work.mutable_resources()->set_cpus(4); });
  w_.api.Kill("b");
  w_.node->Exit({"a", 1}, 0);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("b"), "KILLED 0");
}

TEST_F(ControllerTest, StartThatFailsForGoodIsReported) {
  w_.cluster.before = [](const std::string& call) {
    return call == "Start" ? Error(Reason::kDiskFull, "the disk is full") : absl::OkStatus();
  };
  w_.Add("a");
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 1");
  EXPECT_THAT(w_.Events("a"), ElementsAre("START_FAILED 1"));
  EXPECT_EQ(w_.api.observations().back().reason(), "DISK_FULL");
  EXPECT_EQ(w_.api.observations().back().exit_class(), v1::Attempt::INFRASTRUCTURE);
}

TEST_F(ControllerTest, StartIsTriedAgainUntilTheNodeAnswers) {
  int failures = 3;
  w_.cluster.before = [&](const std::string&) {
    return failures-- > 0 ? absl::UnavailableError("away") : absl::OkStatus();
  };
  w_.Add("a");
  for (int i = 0; i < 5; ++i) w_.Advance(absl::Seconds(1));
  EXPECT_EQ(w_.node->starts({"a", 1}), 1);
}

TEST_F(ControllerTest, LostReplyOfAStartDoesNotStartTwice) {
  int lost = 1;
  w_.cluster.after = [&](const std::string&) {
    return lost-- > 0 ? absl::UnavailableError("reply lost") : absl::OkStatus();
  };
  w_.Add("a");
  w_.Advance(absl::Seconds(5));
  EXPECT_EQ(w_.node->starts({"a", 1}), 1);
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 1");
}

TEST_F(ControllerTest, NodeThatComesBackWithoutARunningAttemptHasLostIt) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  w_.cluster.Disconnect("local");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1") << "silence is no loss";
  w_.node->Wipe();
  w_.cluster.Connect("local");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 1");
  EXPECT_EQ(w_.api.observations().back().reason(), "NODE_LOST");
}

TEST_F(ControllerTest, AttemptThatEndedWhileTheNodeWasAwayIsReportedLater) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  w_.cluster.Disconnect("local");
  w_.node->Exit({"a", 1}, 0);
  w_.Settle();
  w_.cluster.Connect("local");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "FINISHED 1");
}

TEST_F(ControllerTest, SilentNodeTakesNoNewJobsAndKeepsItsOld) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  w_.clock.Advance(absl::Seconds(16));
  w_.Settle();
  w_.Add("b");
  EXPECT_EQ(w_.api.Outcome("b"), "PENDING 0");
  EXPECT_EQ(w_.api.work("b").wait_reason(), "NO_NODE");
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  ASSERT_EQ(w_.api.nodes().size(), 1u);
  EXPECT_FALSE(w_.api.nodes()[0].ready());
  EXPECT_THAT(w_.api.nodes()[0].message(), HasSubstr("silent"));
  w_.cluster.Hear("local");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
  EXPECT_TRUE(w_.api.nodes()[0].ready());
}

TEST_F(ControllerTest, NodesAreReportedAtTheStartAndEveryHalfMinute) {
  ASSERT_EQ(w_.api.nodes().size(), 1u);
  EXPECT_EQ(w_.api.nodes()[0].name(), "nodes/local");
  int reports = 0;
  w_.api.before = [&](const std::string& call) {
    reports += call == "ReportNodes";
    return absl::OkStatus();
  };
  for (int i = 0; i < 12; ++i) w_.Advance(absl::Seconds(5));
  EXPECT_EQ(reports, 2);
}

TEST_F(ControllerTest, AttemptApiDoesNotKnowIsStoppedAndForgotten) {
  internal::v1::StartAttemptRequest stray;
  stray.set_job_uid("stray");
  stray.set_attempt(1);
  ASSERT_TRUE(w_.node->Start(stray).ok());
  w_.Settle();
  EXPECT_THAT(w_.node->List(), IsEmpty());
}

TEST_F(ControllerTest, JobThatVanishedFromTheListIsStopped) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  w_.api.deliver = false;
  w_.api.Change("a", [](Work& work) {
    work.set_state(v1::Job::KILLED);
    work.clear_attempt();
  });
  w_.api.RestartWatch();
  w_.api.deliver = true;
  w_.Settle();
  EXPECT_THAT(w_.node->List(), IsEmpty());
}

TEST_F(ControllerTest, DuplicateAndRepeatedEventsChangeNothing) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  for (int i = 0; i < 3; ++i) {
    w_.api.SendAgain("a");
    w_.api.Relist();
    w_.node->Run({"a", 1});
    w_.cluster.Connect("local");
    w_.Settle();
  }
  EXPECT_THAT(w_.Events("a"), ElementsAre("STARTED 1"));
  EXPECT_EQ(w_.node->starts({"a", 1}), 1);
}

TEST_F(ControllerTest, ReportsAreMadeAgainUntilAccepted) {
  w_.Add("a");
  int failures = 3;
  w_.api.before = [&](const std::string& call) {
    return call == "ReportObservations" && failures-- > 0 ? absl::UnavailableError("away") : absl::OkStatus();
  };
  w_.node->Exit({"a", 1}, 0);
  w_.Settle();
  for (int i = 0; i < 5; ++i) w_.Advance(absl::Seconds(1));
  EXPECT_EQ(w_.api.Outcome("a"), "FINISHED 1");
  EXPECT_THAT(w_.node->List(), IsEmpty());
}

TEST_F(ControllerTest, EndIsForgottenOnlyWhenApiShowsItAndToldAgainWhenItDoesNot) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  w_.api.deliver = false;
  w_.node->Exit({"a", 1}, 0);
  w_.Settle();
  EXPECT_EQ(w_.node->List().size(), 1u);
  w_.Advance(absl::Seconds(6));
  EXPECT_THAT(w_.Events("a"), ElementsAre("STARTED 1", "EXITED 1", "EXITED 1"));
  w_.api.deliver = true;
  w_.Settle();
  EXPECT_THAT(w_.node->List(), IsEmpty());
}

TEST_F(ControllerTest, CapacityIsFreeAsSoonAsTheEndIsAccepted) {
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_cpus(4); });
  w_.Add("b", [](Work& work) { work.mutable_resources()->set_cpus(4); });
  w_.api.deliver = false;
  w_.node->Exit({"a", 1}, 0);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
}

TEST_F(ControllerTest, RetriedJobGetsANewAttempt) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  w_.api.Change("a", [](Work& work) {  // taken away; it waits again
    work.set_state(v1::Job::PENDING);
    work.clear_attempt();
  });
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 2");
  EXPECT_EQ(w_.node->starts({"a", 2}), 1);
  EXPECT_GE(w_.node->stops({"a", 1}), 1);
  ASSERT_EQ(w_.node->List().size(), 1u) << "the first one is stopped and forgotten";
  EXPECT_EQ(w_.node->List()[0].attempt(), 2);
}

TEST_F(ControllerTest, ManyEndsAreReportedInBatches) {
  w_.cluster.AddNode("big", std::make_shared<FakeNode>(), Inventory(0));
  w_.cluster.AddNode("local", w_.node, Inventory(10'000));
  for (int i = 0; i < 1200; ++i)
    w_.api.Add(absl::StrCat("j", i), [](Work& work) { work.mutable_resources()->set_memory_bytes(1'000'000); });
  w_.Settle();
  EXPECT_EQ(w_.node->total_starts(), 1200);
  for (int i = 0; i < 1200; ++i) w_.node->Exit({absl::StrCat("j", i), 1}, 0);
  w_.Settle();
  for (int i = 0; i < 1200; ++i) EXPECT_EQ(w_.api.Outcome(absl::StrCat("j", i)), "FINISHED 1");
  w_.cluster.Disconnect("big");
}

// The table of steps

TEST(NextStep, NothingIsDoneAboutANodeThatIsNotHeard) {
  for (const Recorded recorded : {Recorded::kStarting, Recorded::kRunning})
    for (const bool kill : {false, true}) EXPECT_EQ(NextStep(recorded, OnNode::kNotHeard, kill), Step::kNothing);
}

TEST(NextStep, AnEndIsReportedWhateverElse) {
  for (const Recorded recorded : {Recorded::kStarting, Recorded::kRunning})
    for (const bool kill : {false, true}) EXPECT_EQ(NextStep(recorded, OnNode::kEnded, kill), Step::kReportEnd);
}

TEST(NextStep, ARunningAttemptIsNeverStartedAgain) {
  for (const OnNode on_node :
       {OnNode::kNotHeard, OnNode::kUnknown, OnNode::kPreparing, OnNode::kRunning, OnNode::kEnded})
    for (const bool kill : {false, true}) EXPECT_NE(NextStep(Recorded::kRunning, on_node, kill), Step::kStart);
}

TEST(NextStep, AKilledAttemptIsNeverStarted) {
  for (const StepRow& row : kSteps) EXPECT_NE(row.when_stopped, Step::kStart);
}

}  // namespace
}  // namespace riseml::scheduler
