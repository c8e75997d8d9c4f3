// The controller against fakes of api, builder and nodes, with a clock moved by hand.
#include "services/scheduler/controller/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/scheduler/cluster/fake_cluster.h"
#include "services/scheduler/controller/fake_api.h"

namespace riseml::scheduler {
namespace {

using internal::v1::Environment;
using internal::v1::Observation;
using internal::v1::Work;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FakeEnvironments final : public Environments {
 public:
  absl::StatusOr<Environment> Resolve(const internal::v1::ResolveEnvironmentRequest& request) override {
    ++calls;
    if (!status.ok()) return status;
    Environment environment;
    environment.set_key(absl::StrCat("key-", request.install(0)));
    environment.set_path("/environments/" + environment.key());
    environment.set_state(ready.contains(environment.key()) ? Environment::READY : Environment::MISSING);
    if (environment.state() == Environment::MISSING) environment.add_steps()->set_title("make it");
    return environment;
  }
  std::set<std::string> ready;
  absl::Status status;
  int calls = 0;
};

struct World {
  World() { Start(); }
  ~World() { cluster.Disconnect("local"); }

  // A new process: nothing but the outside survives.
  void Start() {
    controller.reset();
    completions.Take();
    cluster.Restart();
    controller = std::make_unique<Controller>(
        ControllerOptions{.holder = "here"},
        Controller::Ports{api, cluster, environments, executor, completions, clock, metrics});
  }
  // Passes until nothing happens any more without time going on.
  void Settle() {
    for (int i = 0; i < 100; ++i)
      if (controller->Pass() > clock.Now()) {
        const int calls = api.calls();
        const auto version = cluster.Read(0).version;
        controller->Pass();
        if (api.calls() == calls && cluster.Read(0).version == version) return;
      }
    ADD_FAILURE() << "does not come to rest";
  }
  void Advance(absl::Duration by) {
    clock.Advance(by);
    cluster.Hear("local");
    Settle();
  }
  void Add(const std::string& uid, const std::function<void(Work&)>& change = {}) {
    api.Add(uid, change);
    Settle();
  }
  static std::function<void(Work&)> Build(const std::string& install) {
    return [install](Work& work) {
      work.set_role("build");
      work.set_job(work.job().substr(0, work.job().size() - 5) + "build");
      work.mutable_template_()->add_install(install);
    };
  }
  static std::function<void(Work&)> Install(const std::string& install) {
    return [install](Work& work) { work.mutable_template_()->add_install(install); };
  }
  std::vector<std::string> Events(const std::string& uid) const {
    std::vector<std::string> events;
    for (const Observation& o : api.observations())
      if (o.job_uid() == uid) events.push_back(absl::StrCat(Observation::Event_Name(o.event()), " ", o.attempt()));
    return events;
  }

  FakeClock clock;
  FakeApi api;
  FakeEnvironments environments;
  InlineExecutor executor;
  Completions completions;
  prometheus::Registry registry;
  SchedulerMetrics metrics{registry};
  std::shared_ptr<FakeNode> node = std::make_shared<FakeNode>();
  FakeCluster cluster{clock};
  std::unique_ptr<Controller> controller;
};

v1::Node Inventory(double cpus, int gpus = 0) {
  v1::Node node;
  node.set_name("nodes/local");
  node.set_ready(true);
  node.set_cpus(cpus);
  node.set_memory_bytes(64'000'000'000);
  for (int i = 0; i < gpus; ++i) {
    node.add_gpus()->set_uuid(absl::StrCat("GPU-", i));
    node.mutable_gpus(i)->set_index(i);
  }
  return node;
}

class ControllerTest : public testing::Test {
 protected:
  void SetUp() override {
    w_.cluster.AddNode("local", w_.node, Inventory(4, 2));
    w_.Settle();
  }
  World w_;
};

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
  EXPECT_EQ(end.exit_class(), Observation::USER_ERROR);
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
  EXPECT_EQ(w_.api.observations().back().exit_class(), Observation::INFRASTRUCTURE);
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
  ASSERT_EQ(w_.node->List().size(), 1u) << "the first one is stopped and forgotten";
  EXPECT_EQ(w_.node->List()[0].attempt(), 2);
}

TEST_F(ControllerTest, ManyEndsAreReportedInBatches) {
  w_.cluster.AddNode("big", std::make_shared<FakeNode>(), Inventory(0));
  w_.cluster.AddNode("local", w_.node, Inventory(10'000));
  for (int i = 0; i < 1200; ++i)
    w_.api.Add(absl::StrCat("j", i), [](Work& work) { work.mutable_resources()->set_memory_mb(1); });
  w_.Settle();
  EXPECT_EQ(w_.node->total_starts(), 1200);
  for (int i = 0; i < 1200; ++i) w_.node->Exit({absl::StrCat("j", i), 1}, 0);
  w_.Settle();
  for (int i = 0; i < 1200; ++i) EXPECT_EQ(w_.api.Outcome(absl::StrCat("j", i)), "FINISHED 1");
  w_.cluster.Disconnect("big");
}

// Gangs

TEST_F(ControllerTest, GangStartsOnlyWhenAllMembersAreCommittedAndKnowsItsAddresses) {
  const auto member = [](Work& work) { work.set_gang("g"); };
  w_.api.Add("a", member);
  w_.api.Add("b", member);
  w_.Settle();
  for (const char* uid : {"a", "b"}) {
    const auto request = w_.node->request({uid, 1});
    ASSERT_EQ(request.members_size(), 2) << uid;
    EXPECT_EQ(request.members(0).node(), "local");
    EXPECT_EQ(request.members(1).node(), "local");
    EXPECT_EQ(request.members(0).address(), "127.0.0.1");
  }
}

TEST_F(ControllerTest, GangWaitsForMembersThatMayNotRunYet) {
  w_.api.Add("a", [](Work& work) { work.set_gang("g"); });
  w_.api.Add("b", [](Work& work) {
    work.set_gang("g");
    work.set_state(v1::Job::CREATED);
  });
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
  w_.api.Change("b", [](Work& work) { work.set_state(v1::Job::PENDING); });
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 1");
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
}

// Environments

TEST_F(ControllerTest, BuildGetsItsStepsAndTheJobThenThePath) {
  w_.Add("build", World::Build("x"));
  const auto build = w_.node->request({"build", 1});
  EXPECT_EQ(build.build_steps_size(), 1);
  EXPECT_EQ(build.environment_path(), "/environments/key-x");
  w_.environments.ready.insert("key-x");
  w_.node->Exit({"build", 1}, 0);
  w_.Settle();
  w_.Add("train", World::Install("x"));
  const auto train = w_.node->request({"train", 1});
  EXPECT_EQ(train.build_steps_size(), 0);
  EXPECT_EQ(train.environment_path(), "/environments/key-x");
}

TEST_F(ControllerTest, BuildOfAnExistingEnvironmentEndsAtOnce) {
  w_.environments.ready.insert("key-x");
  w_.Add("build", World::Build("x"));
  EXPECT_EQ(w_.api.Outcome("build"), "FINISHED 0");
  EXPECT_THAT(w_.Events("build"), ElementsAre("ENVIRONMENT_READY 0"));
}

TEST_F(ControllerTest, OneBuildForManyAndTheOthersNameIt) {
  w_.Add("first", World::Build("x"));
  w_.Add("second", World::Build("x"));
  w_.Add("other", World::Build("y"));
  EXPECT_EQ(w_.api.Outcome("first"), "STARTING 1");
  EXPECT_EQ(w_.api.Outcome("second"), "PENDING 0");
  EXPECT_EQ(w_.api.Outcome("other"), "STARTING 1");
  EXPECT_EQ(w_.api.work("second").wait_reason(), "ENVIRONMENT");
  EXPECT_THAT(w_.api.work("second").wait_message(), HasSubstr("1.build"));
  w_.environments.ready.insert("key-x");
  w_.node->Exit({"first", 1}, 0);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("second"), "FINISHED 0") << "without any time going by";
  EXPECT_EQ(w_.api.observations().back().message(), "the environment was built by 1.build");
}

TEST_F(ControllerTest, ManyBuildsOfOneEnvironmentAtOnceAreOneBuild) {
  for (int i = 0; i < 10; ++i) w_.api.Add(absl::StrCat("b", i), World::Build("x"));
  w_.Settle();
  EXPECT_EQ(w_.node->total_starts(), 1);
}

TEST_F(ControllerTest, FailedBuildLetsTheNextOneTry) {
  w_.Add("first", World::Build("x"));
  w_.Add("second", World::Build("x"));
  w_.node->Exit({"first", 1}, 1);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("first"), "FAILED 1");
  w_.Advance(absl::Seconds(1));
  EXPECT_EQ(w_.api.Outcome("second"), "STARTING 1");
}

TEST_F(ControllerTest, RefusalBecauseOfAnotherBuildIsAWait) {
  w_.Add("first", World::Build("x"));
  w_.Start();  // a process that does not know who builds what
  w_.api.Add("second", World::Build("x"));
  w_.Settle();
  EXPECT_EQ(w_.api.work("second").wait_reason(), "ENVIRONMENT");
  EXPECT_EQ(w_.node->total_starts(), 1);
}

TEST_F(ControllerTest, VanishedEnvironmentIsMadeByTheJobThatNeedsIt) {
  w_.Add("a", World::Install("x"));
  EXPECT_EQ(w_.node->request({"a", 1}).build_steps_size(), 1);
  w_.Add("b", World::Install("x"));
  EXPECT_EQ(w_.api.Outcome("b"), "PENDING 0") << "one at a time";
  EXPECT_EQ(w_.api.work("b").wait_reason(), "ENVIRONMENT");
  w_.environments.ready.insert("key-x");
  w_.Advance(absl::Seconds(2));
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
  EXPECT_EQ(w_.node->request({"b", 1}).build_steps_size(), 0);
}

TEST_F(ControllerTest, BuilderAwayIsAWaitAndNotAskedAgainForEachJob) {
  w_.environments.status = absl::UnavailableError("away");
  for (int i = 0; i < 3; ++i) w_.api.Add(absl::StrCat("j", i), World::Install(absl::StrCat(i)));
  w_.Settle();
  EXPECT_EQ(w_.environments.calls, 1);
  EXPECT_EQ(w_.api.work("j0").wait_reason(), "BUILDER_UNAVAILABLE");
  w_.Add("bare");
  EXPECT_EQ(w_.api.Outcome("bare"), "STARTING 1") << "needs no environment";
  w_.environments.status = absl::OkStatus();
  for (int i = 0; i < 3; ++i) w_.Advance(absl::Seconds(1));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(w_.api.Outcome(absl::StrCat("j", i)), "STARTING 1");
}

TEST_F(ControllerTest, EnvironmentThatCannotExistEndsTheJob) {
  w_.environments.status = absl::NotFoundError("no such commit");
  w_.Add("a", World::Install("x"));
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 0");
  EXPECT_THAT(w_.Events("a"), ElementsAre("IMPOSSIBLE 0"));
}

TEST_F(ControllerTest, ManyEqualJobsAskTheBuilderOnce) {
  w_.environments.ready.insert("key-x");
  for (int i = 0; i < 4; ++i) w_.api.Add(absl::StrCat("j", i), World::Install("x"));
  w_.Settle();
  EXPECT_EQ(w_.environments.calls, 1);
}

// Leadership and restarts

TEST_F(ControllerTest, LeadershipIsRenewedInTheSameEpoch) {
  int acquisitions = 0;
  w_.api.before = [&](const std::string& call) {
    acquisitions += call == "AcquireLeadership";
    return absl::OkStatus();
  };
  for (int i = 0; i < 15; ++i) w_.Advance(absl::Seconds(1));
  EXPECT_EQ(acquisitions, 3);
  w_.Add("a");
  EXPECT_EQ(w_.node->request({"a", 1}).epoch(), 1);
}

TEST_F(ControllerTest, AfterLosingTheLeadershipItStartsFromTheBeginning) {
  w_.Add("a");
  w_.api.Usurp();
  w_.api.Add("b");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
  EXPECT_EQ(w_.node->starts({"a", 1}), 1);
  EXPECT_EQ(w_.node->request({"b", 1}).epoch(), 3);
}

TEST_F(ControllerTest, WhileOthersLeadItDoesNothing) {
  w_.api.Usurp();
  w_.api.before = [](const std::string& call) {
    return call == "AcquireLeadership" ? Error(Reason::kNotLeader, "somebody else leads") : absl::OkStatus();
  };
  w_.api.Add("a");
  w_.Settle();
  w_.Advance(absl::Seconds(20));
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
  internal::v1::StartAttemptRequest stray;
  stray.set_job_uid("stray");
  stray.set_attempt(1);
  ASSERT_TRUE(w_.node->Start(stray).ok());
  w_.Settle();
  EXPECT_EQ(w_.node->List().size(), 1u) << "not its business";
}

TEST_F(ControllerTest, WithoutApiItActsNoLongerThanItsLease) {
  w_.api.before = [](const std::string&) { return absl::UnavailableError("away"); };
  for (int i = 0; i < 20; ++i) w_.Advance(absl::Seconds(1));
  internal::v1::StartAttemptRequest stray;
  stray.set_job_uid("stray");
  stray.set_attempt(1);
  ASSERT_TRUE(w_.node->Start(stray).ok());
  w_.Settle();
  EXPECT_EQ(w_.node->List().size(), 1u);
  w_.api.before = [](const std::string&) { return absl::OkStatus(); };
  for (int i = 0; i < 3; ++i) w_.Advance(absl::Seconds(1));
  EXPECT_THAT(w_.node->List(), IsEmpty());
}

TEST_F(ControllerTest, RestartStartsACommittedAttemptTheNodeDoesNotKnow) {
  w_.cluster.before = [](const std::string&) { return absl::UnavailableError("away"); };
  w_.Add("a");
  w_.cluster.before = [](const std::string&) { return absl::OkStatus(); };
  w_.Start();
  w_.Settle();
  EXPECT_EQ(w_.node->starts({"a", 1}), 1);
  EXPECT_EQ(w_.node->request({"a", 1}).token(), "token-a-1");
}

TEST_F(ControllerTest, RestartWhileTheNodeIsAwayLosesNothingAndStartsNothing) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  w_.cluster.Disconnect("local");
  w_.Start();
  w_.Settle();
  w_.clock.Advance(absl::Seconds(60));
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  w_.cluster.Connect("local");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  EXPECT_EQ(w_.node->total_starts(), 1);
}

TEST_F(ControllerTest, CapacityOfCommittedAttemptsIsNotGivenTwiceAfterARestart) {
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_gpus(2); });
  w_.Start();
  w_.Add("b", [](Work& work) { work.mutable_resources()->set_gpus(1); });
  EXPECT_EQ(w_.api.Outcome("b"), "PENDING 0");
}

// Every call of a whole story fails once: before it takes effect, after it did, and with the process killed right
// there.

struct Fault {
  int at;
  bool lost_reply;  // takes effect
  bool crash;
};

class Faults : public testing::TestWithParam<std::tuple<bool, bool>> {};

// Runs a build, a job that needs it, a job that is killed and a job that fails. Returns the number of calls seen.
int RunStory(const Fault& fault) {
  World w;
  w.cluster.AddNode("local", w.node, Inventory(4));
  int calls = 0;
  bool crash = false;
  const auto inject = [&](bool after) {
    return [&, after](const std::string&) -> absl::Status {
      if (after != fault.lost_reply) return crash ? absl::UnavailableError("crashed") : absl::OkStatus();
      if (crash) return absl::UnavailableError("crashed");
      if (calls++ != fault.at) return absl::OkStatus();
      crash = fault.crash;
      return absl::UnavailableError("lost");
    };
  };
  w.api.before = w.cluster.before = inject(false);
  w.api.after = w.cluster.after = inject(true);
  const auto settle = [&] {
    for (int i = 0; i < 12; ++i) {
      w.controller->Pass();
      if (crash) {
        w.Start();
        crash = false;
      }
      w.clock.Advance(absl::Seconds(1));
      w.cluster.Hear("local");
    }
  };
  const auto exit = [&](const std::string& uid, int code) {
    const AttemptKey key{uid, 1};
    ASSERT_EQ(w.node->starts(key), 1) << uid;
    w.node->Run(key);
    settle();
    w.node->Exit(key, code);
    settle();
  };
  w.api.Add("build", World::Build("x"));
  w.api.Add("killed");
  w.api.Add("bad");
  settle();
  exit("build", 0);
  w.environments.ready.insert("key-x");
  w.api.Add("train", World::Install("x"));
  settle();
  exit("train", 0);
  w.api.Kill("killed");
  settle();
  exit("bad", 1);
  settle();

  EXPECT_EQ(w.api.Outcome("build"), "FINISHED 1");
  EXPECT_EQ(w.api.Outcome("train"), "FINISHED 1");
  EXPECT_EQ(w.api.Outcome("killed"), "KILLED 1");
  EXPECT_EQ(w.api.Outcome("bad"), "FAILED 1");
  EXPECT_EQ(w.node->total_starts(), 4);
  EXPECT_THAT(w.node->List(), IsEmpty());
  return calls;
}

TEST_P(Faults, AnyCallMayFailOnce) {
  const auto [lost_reply, crash] = GetParam();
  const int calls = RunStory({-1, lost_reply, crash});
  ASSERT_GT(calls, 15);
  for (int at = 0; at < calls; ++at) {
    SCOPED_TRACE(absl::StrCat("fault at call ", at));
    RunStory({at, lost_reply, crash});
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Faults, testing::Combine(testing::Bool(), testing::Bool()), [](const auto& info) {
  return absl::StrCat(std::get<0>(info.param) ? "LostReply" : "LostRequest", std::get<1>(info.param) ? "AndCrash" : "");
});

// The table

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
  for (const StepRow& row : kSteps) EXPECT_NE(row.when_killed, Step::kStart);
}

}  // namespace
}  // namespace riseml::scheduler
