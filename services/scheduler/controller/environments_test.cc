// Builds and jobs that need an environment.
#include "services/scheduler/controller/test_world.h"

namespace riseml::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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

TEST_F(ControllerTest, EachJobThatWaitsForAnEnvironmentNamesTheJobThatMakesIt) {
  w_.Add("maker", World::Install("x"));  // the environment has vanished: its first user makes it again
  ASSERT_EQ(w_.api.Outcome("maker"), "STARTING 1");
  w_.api.Add("second", World::Install("x"));
  w_.api.Add("third", World::Install("x"));
  w_.Settle();
  for (const char* uid : {"second", "third"}) EXPECT_THAT(w_.api.work(uid).wait_message(), HasSubstr("1.train")) << uid;
}

TEST_F(ControllerTest, Case23FailedBuildFailsForAllThatWaitForItAtOnce) {
  w_.Add("first", World::Build("x"));
  w_.Add("second", World::Build("x"));
  w_.Add("third", World::Build("x"));
  w_.Add("other", World::Build("y"));
  w_.node->Exit({"first", 1}, 1);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("first"), "FAILED 1");
  EXPECT_EQ(w_.api.Outcome("second"), "FAILED 0") << "without any time going by";
  EXPECT_EQ(w_.api.Outcome("third"), "FAILED 0");
  EXPECT_EQ(w_.api.Outcome("other"), "STARTING 1");
  EXPECT_THAT(w_.Events("second"), ElementsAre("IMPOSSIBLE 0"));
  EXPECT_EQ(w_.api.observations().back().reason(), "BUILD_FAILED");
  EXPECT_THAT(w_.api.observations().back().message(), HasSubstr("(in 1.build, which built the same environment)"));
  w_.Add("later", World::Build("x"));
  EXPECT_EQ(w_.api.Outcome("later"), "STARTING 1") << "who comes later tries again";
}

TEST_F(ControllerTest, KilledBuildLetsTheNextOneTry) {
  w_.Add("first", World::Build("x"));
  w_.Add("second", World::Build("x"));
  w_.api.Kill("first");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("first"), "KILLED 1");
  w_.Advance(absl::Seconds(1));
  EXPECT_EQ(w_.api.Outcome("second"), "STARTING 1");
}

TEST_F(ControllerTest, JobsSayWhichEnvironmentTheyUse) {
  w_.environments.ready.insert("key-x");
  w_.Add("ready", World::Install("x"));
  w_.Add("vanished", World::Install("y"));
  EXPECT_EQ(w_.api.placements().at("ready").uses_environment(), "key-x");
  EXPECT_FALSE(w_.api.placements().at("ready").makes_environment());
  EXPECT_EQ(w_.api.placements().at("vanished").uses_environment(), "key-y");
  EXPECT_TRUE(w_.api.placements().at("vanished").makes_environment());
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

TEST_F(ControllerTest, SlowBuilderHoldsUpOnlyJobsThatNeedAnEnvironment) {
  w_.environments.ready.insert("key-x");
  w_.builder.held = true;
  w_.Add("train", World::Install("x"));
  w_.Add("build", World::Build("y"));
  w_.Add("bare");
  EXPECT_EQ(w_.api.Outcome("train"), "PENDING 0");
  EXPECT_EQ(w_.api.Outcome("build"), "PENDING 0");
  EXPECT_EQ(w_.api.Outcome("bare"), "STARTING 1");
  w_.builder.Release();
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("train"), "STARTING 1");
  EXPECT_EQ(w_.api.Outcome("build"), "STARTING 1");
}

TEST_F(ControllerTest, JobKeepsItsTurnWhileBuilderIsAsked) {
  w_.environments.ready.insert("key-x");
  w_.builder.held = true;
  const auto all_cpus = [](Work& work) { work.mutable_resources()->set_cpus(4); };
  w_.Add("first", [&](Work& work) {
    World::Install("x")(work);
    all_cpus(work);
  });
  w_.Add("second", all_cpus);
  EXPECT_EQ(w_.api.Outcome("second"), "PENDING 0");
  w_.builder.Release();
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("first"), "STARTING 1");
  EXPECT_EQ(w_.api.Outcome("second"), "PENDING 0");
}

TEST_F(ControllerTest, AnswerFromBeforeABuildEndedIsNotUsed) {
  w_.Add("build", World::Build("x"));
  w_.Advance(absl::Seconds(2));
  w_.builder.held = true;
  w_.Add("train", World::Install("x"));
  w_.builder.Release();  // says that the environment is missing
  w_.environments.ready.insert("key-x");
  w_.node->Exit({"build", 1}, 0);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("train"), "STARTING 1");
  EXPECT_FALSE(w_.api.placements().at("train").makes_environment());
}

TEST_F(ControllerTest, QuestionsThatWaitAreDroppedOnceBuilderIsAway) {
  w_.builder.held = true;
  for (int i = 0; i < 10; ++i) w_.api.Add(absl::StrCat("b", i), World::Build(absl::StrCat(i)));
  w_.Settle();
  EXPECT_EQ(w_.builder.tasks.size(), 4);
  w_.environments.status = absl::UnavailableError("away");
  w_.builder.Release();
  w_.Settle();
  EXPECT_EQ(w_.environments.calls, 4);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(w_.api.work(absl::StrCat("b", i)).wait_reason(), "BUILDER_UNAVAILABLE") << i;
}

TEST_F(ControllerTest, EnvironmentThatCannotExistEndsTheJob) {
  w_.environments.status = absl::NotFoundError("no such commit");
  w_.Add("a", World::Install("x"));
  EXPECT_EQ(w_.api.Outcome("a"), "FAILED 0");
  EXPECT_THAT(w_.Events("a"), ElementsAre("IMPOSSIBLE 0"));
}

TEST_F(ControllerTest, AFaultOfTheBuilderIsAWaitWhateverItIs) {
  for (const absl::Status& fault :
       {absl::UnavailableError("away"), absl::DeadlineExceededError("slow"), absl::InternalError("broken"),
        absl::FailedPreconditionError("no interpreter"), Error(Reason::kDiskFull, "disk full")}) {
    const std::string job = absl::StrCat("job-", fault.message());
    w_.environments.status = fault;
    w_.Add(job, World::Install(job));
    EXPECT_EQ(w_.api.Outcome(job), "PENDING 0") << fault;
    EXPECT_EQ(w_.api.work(job).wait_reason(), "BUILDER_UNAVAILABLE") << fault;
    EXPECT_THAT(w_.api.work(job).wait_message(), HasSubstr(std::string(fault.message())));
    w_.environments.status = absl::OkStatus();
    for (int i = 0; i < 3; ++i) w_.Advance(absl::Seconds(1));
    EXPECT_EQ(w_.api.Outcome(job), "STARTING 1") << fault;
    w_.node->Exit({job, 1}, 0);
    w_.Settle();
  }
}

TEST_F(ControllerTest, AJobThatWasPlacedIsStartedOnceBuilderHasRoomAgain) {
  w_.environments.ready.insert("key-x");
  w_.cluster.before = [](const std::string&) { return absl::UnavailableError("lost"); };
  w_.Add("train", World::Install("x"));
  w_.cluster.before = [](const std::string&) { return absl::OkStatus(); };
  w_.environments.status = Error(Reason::kDiskFull, "disk full");
  w_.Start();  // a process that has to ask again
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("train"), "STARTING 1");
  EXPECT_EQ(w_.node->total_starts(), 0);
  w_.environments.status = absl::OkStatus();
  w_.Advance(absl::Seconds(2));
  EXPECT_EQ(w_.node->total_starts(), 1);
}

TEST_F(ControllerTest, AJobRunsInTheImageOfItsEnvironmentAndCode) {
  w_.environments.image = true;
  w_.environments.ready.insert("key-x");
  w_.Add("train", World::Install("x"));
  EXPECT_EQ(w_.api.Outcome("train"), "STARTING 1");
  const internal::v1::StartAttemptRequest request = w_.node->request({"train", 1});
  EXPECT_EQ(request.image().reference(), "registry/key-x/");
  EXPECT_EQ(request.runtime(), v1::Job::CONTAINER);
  EXPECT_EQ(request.environment_path(), "");
  EXPECT_FALSE(request.builds_image());
}

TEST_F(ControllerTest, ABuildOfAnImageGetsItsSteps) {
  w_.environments.image = true;
  w_.Add("build", World::Build("x"));
  const internal::v1::StartAttemptRequest request = w_.node->request({"build", 1});
  EXPECT_TRUE(request.builds_image());
  EXPECT_EQ(request.build_steps_size(), 1);
  EXPECT_FALSE(request.has_image());
}

TEST_F(ControllerTest, AJobWaitsForItsImageAndFailsWhenThereCanBeNone) {
  w_.environments.image = true;
  w_.environments.ready.insert("key-x");
  w_.environments.image_status = Error(Reason::kDiskFull, "disk full");
  w_.Add("train", World::Install("x"));
  w_.Advance(absl::Seconds(30));
  EXPECT_EQ(w_.api.Outcome("train"), "STARTING 1");
  EXPECT_EQ(w_.node->total_starts(), 0);
  w_.environments.image_status = Error(Reason::kNotFound, "no such commit");
  w_.Advance(absl::Seconds(30));
  EXPECT_EQ(w_.api.Outcome("train"), "FAILED 1");
  EXPECT_THAT(w_.api.observations().back().message(), HasSubstr("make the image of the job: no such commit"));
}

TEST_F(ControllerTest, AJobWhoseImageIsGoneFailsWithASentence) {
  w_.environments.image = true;
  w_.Add("train", World::Install("x"));
  EXPECT_EQ(w_.api.Outcome("train"), "FAILED 1");
  EXPECT_EQ(w_.node->total_starts(), 0);
  EXPECT_THAT(w_.api.observations().back().message(), HasSubstr("the image registry/key-x is gone"));
}

TEST_F(ControllerTest, ApiIsToldWhatTheEnvironmentIs) {
  w_.Add("build", World::Build("x"));
  const auto& build = w_.api.placements().at("build").environment();
  EXPECT_EQ(build.digest(), "") << "it is not there yet";
  EXPECT_THAT(build.steps(), ElementsAre("make it"));
  EXPECT_EQ(build.built_because(), "it is a fake");
  w_.environments.ready.insert("key-x");
  w_.node->Exit({"build", 1}, 0);
  w_.Settle();
  w_.Add("train", World::Install("x"));
  const auto& train = w_.api.placements().at("train").environment();
  EXPECT_EQ(train.digest(), "digest of key-x");
  EXPECT_THAT(train.steps(), IsEmpty());
  EXPECT_EQ(train.built_because(), "");
  w_.Add("bare");
  EXPECT_FALSE(w_.api.placements().at("bare").has_environment());
}

TEST(RecordOf, IsBounded) {
  Environment environment;
  for (int i = 0; i < 1000; ++i)
    environment.mutable_plan()->add_steps()->set_title(absl::StrCat("x", std::string(97, 'y'), "ä", "z"));
  const auto record = RecordOf(environment);
  ASSERT_EQ(record.steps_size(), 20);
  EXPECT_EQ(record.steps(0), absl::StrCat("x", std::string(96, 'y'), "..."));
}

TEST_F(ControllerTest, ManyEqualJobsAskTheBuilderOnce) {
  w_.environments.ready.insert("key-x");
  for (int i = 0; i < 4; ++i) w_.api.Add(absl::StrCat("j", i), World::Install("x"));
  w_.Settle();
  EXPECT_EQ(w_.environments.calls, 1);
}

}  // namespace
}  // namespace riseml::scheduler
