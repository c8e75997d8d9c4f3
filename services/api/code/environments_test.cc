// Environments over the wire: what is recorded about them, who sees and removes them, builds that fail together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "riseml/v1/environment.grpc.pb.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/rpc/channel.h"

namespace riseml::api {
namespace {

using internal::v1::Observation;
using testing::ElementsAre;
using testing::HasSubstr;

class EnvironmentsTest : public ApiTestBase {
 protected:
  void SetUp() override {
    ApiTestBase::SetUp();
    static int environments = 0;
    environment_ = std::string(63, 'a') + absl::StrCat(++environments % 10);
    api_->builder().Reset(internal::v1::Environment::MISSING);
  }
  v1::Experiment Create() { return ApiTestBase::Create(kInstall); }
  static std::string Uid(const v1::Experiment& experiment, const std::string& role) {
    for (const v1::Job& job : experiment.jobs())
      if (job.role() == role) return job.uid();
    return "";
  }
  void Build(const v1::Experiment& experiment, int exit_code = 0) {
    ASSERT_EQ(api_->Place(Uid(experiment, "build"), environment_)->attempt(), 1);
    ASSERT_TRUE(api_->Report(Uid(experiment, "build"), 1, Observation::STARTED).ok());
    ASSERT_TRUE(api_->Report(Uid(experiment, "build"), 1, Observation::EXITED, exit_code).ok());
    api_->builder().Store(environment_, 1000);
  }
  absl::StatusOr<v1::ListEnvironmentsResponse> List(const std::string& key) {
    const auto stub = v1::EnvironmentService::NewStub(api_->UserChannel());
    return rpc::Invoke<v1::ListEnvironmentsResponse>(
        [&](auto* c, auto* r) { return stub->ListEnvironments(c, v1::ListEnvironmentsRequest(), r); },
        {.credential = key});
  }
  absl::StatusOr<v1::RemoveEnvironmentResponse> Remove(const std::string& key) {
    const auto stub = v1::EnvironmentService::NewStub(api_->UserChannel());
    v1::RemoveEnvironmentRequest request;
    request.set_key(environment_);
    return rpc::Invoke<v1::RemoveEnvironmentResponse>(
        [&](auto* c, auto* r) { return stub->RemoveEnvironment(c, request, r); }, {.credential = key});
  }

  std::string environment_;
};

TEST_F(EnvironmentsTest, ExperimentSaysWhichItUsesAndWhoBuiltIt) {
  const v1::Experiment experiment = Create();
  Build(experiment);
  const v1::Experiment built = *api_->Get(key_, experiment.name());
  EXPECT_EQ(built.environment().key(), environment_);
  EXPECT_EQ(built.environment().built_by(), experiment.name() + "/jobs/build");
  api_->builder().Reset(internal::v1::Environment::READY);
  const v1::Experiment second = Create();
  ASSERT_EQ(api_->Use(Uid(second, "train"), environment_)->attempt(), 1);
  EXPECT_EQ(api_->Get(key_, second.name())->environment().built_by(), experiment.name() + "/jobs/build");
}

TEST_F(EnvironmentsTest, WhatWasBuiltAndWhyIsTold) {
  const v1::Experiment experiment = Create();
  Build(experiment);
  const v1::UsedEnvironment built = api_->Get(key_, experiment.name())->environment();
  EXPECT_EQ(built.digest(), "") << "nobody has looked into it";
  EXPECT_THAT(built.steps(), ElementsAre("pip install --index-url https://me:******@host/simple six"));
  EXPECT_EQ(built.built_because(), "requirements.txt has changed since 12.build");
  const auto list = List(key_);
  ASSERT_EQ(list->environments_size(), 1);
  EXPECT_EQ(list->environments(0).digest(), "digest of " + environment_);
  EXPECT_EQ(list->environments(0).steps_size(), 1);
  EXPECT_EQ(list->environments(0).built_because(), built.built_because());

  ASSERT_EQ(api_->Use(Uid(experiment, "train"), environment_)->attempt(), 1);
  const v1::Experiment used = *api_->Get(key_, experiment.name());
  EXPECT_EQ(used.environment().digest(), "digest of " + environment_);
  EXPECT_EQ(used.environment().built_because(), built.built_because()) << "a use changes nothing";
  for (const v1::Job& job : used.jobs()) {
    ASSERT_EQ(job.attempts_size(), 1);
    EXPECT_EQ(job.attempts(0).environment_digest(), job.role() == "train" ? "digest of " + environment_ : "");
  }
}

TEST_F(EnvironmentsTest, AJobThatMakesAVanishedEnvironmentSaysWhy) {
  const v1::Experiment experiment = Create();
  Build(experiment);
  ASSERT_EQ(api_->Use(Uid(experiment, "train"), environment_, true)->attempt(), 1);
  const v1::UsedEnvironment used = api_->Get(key_, experiment.name())->environment();
  EXPECT_EQ(used.built_because(), "the one that 12.build built has been removed");
  EXPECT_EQ(used.digest(), "");
}

TEST_F(EnvironmentsTest, AfterAFailedBuildNoEnvironmentIsNamed) {
  const v1::Experiment failed = Create();
  Build(failed, 1);
  const v1::UsedEnvironment missing = api_->Get(key_, failed.name())->environment();
  EXPECT_EQ(missing.key(), "");
  EXPECT_EQ(missing.built_because(), "requirements.txt has changed since 12.build");
  const v1::Experiment built = Create();
  Build(built);
  EXPECT_FALSE(api_->Get(key_, failed.name())->has_environment()) << "another experiment built it later";
  EXPECT_TRUE(api_->Get(key_, built.name())->has_environment());
}

TEST_F(EnvironmentsTest, WhatAJobUsesIsListedWithItAndNotRemoved) {
  const v1::Experiment experiment = Create();
  Build(experiment);
  ASSERT_EQ(api_->Use(Uid(experiment, "train"), environment_)->attempt(), 1);
  const auto list = List(key_);
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->environments_size(), 1);
  const v1::StoredEnvironment& environment = list->environments(0);
  EXPECT_EQ(environment.bytes(), 1000);
  EXPECT_EQ(environment.owner(), "users/" + user_);
  EXPECT_EQ(environment.used_by(0), experiment.name() + "/jobs/train");
  EXPECT_TRUE(environment.has_last_use_time());
  EXPECT_EQ(Remove(key_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Remove(key_).status().message()), HasSubstr(absl::StrCat("is used by 1.train")));

  ASSERT_TRUE(api_->Report(Uid(experiment, "train"), 1, Observation::STARTED).ok());
  ASSERT_TRUE(api_->Report(Uid(experiment, "train"), 1, Observation::EXITED).ok());
  const auto removed = Remove(key_);
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(removed->bytes(), 1000);
  EXPECT_EQ(api_->builder().removed(), environment_);
}

TEST_F(EnvironmentsTest, NoJobStartsWithWhatWasRemovedUnlessItMakesItAnew) {
  const v1::Experiment experiment = Create();
  Build(experiment);
  ASSERT_TRUE(Remove(key_).ok());
  EXPECT_THAT(api_->Use(Uid(experiment, "train"), environment_)->message(), HasSubstr("was removed"));
  EXPECT_EQ(api_->Use(Uid(experiment, "train"), environment_, true)->attempt(), 1);
}

TEST_F(EnvironmentsTest, AFaultOfTheBuilderIsAnErrorAndRemovesNothing) {
  const v1::Experiment experiment = Create();
  Build(experiment);
  for (const auto code : {grpc::UNAVAILABLE, grpc::DEADLINE_EXCEEDED, grpc::RESOURCE_EXHAUSTED}) {
    const grpc::Status fault(code, "a fault");
    api_->builder().Break(fault, grpc::Status::OK);
    EXPECT_EQ(static_cast<int>(List(key_).status().code()), code);
    EXPECT_EQ(static_cast<int>(Remove(key_).status().code()), code);
    EXPECT_THAT(std::string(Remove(key_).status().message()), HasSubstr("ask builder for the environments"));
    api_->builder().Break(grpc::Status::OK, fault);
    EXPECT_EQ(static_cast<int>(Remove(key_).status().code()), code);
    EXPECT_THAT(std::string(Remove(key_).status().message()), HasSubstr("remove the environment from the disk"));
    EXPECT_NE(api_->builder().removed(), environment_);
  }
  EXPECT_EQ(api_->Use(Uid(experiment, "train"), environment_)->attempt(), 1) << "it is used as before";
}

TEST_F(EnvironmentsTest, OfOthersAreNeitherSeenNorRemoved) {
  Build(Create());
  const std::string other = api_->NewUser(user_ + "x");
  EXPECT_EQ(List(other)->environments_size(), 0);
  EXPECT_TRUE(absl::IsNotFound(Remove(other).status()));
  EXPECT_EQ(List(api_->admin_key())->environments_size(), 1);
}

TEST_F(EnvironmentsTest, Case23AFailedBuildFailsForThoseWhoWaitedForIt) {
  const v1::Experiment first = Create(), second = Create();
  Build(first, 1);
  EXPECT_EQ(api_->Place(Uid(second, "build"), environment_)->attempt(), 0);
  const v1::Experiment failed = *api_->Get(key_, second.name());
  EXPECT_EQ(failed.state(), v1::Experiment::FAILED);
  EXPECT_EQ(failed.reason(), "BUILD_FAILED");
  EXPECT_THAT(failed.message(), HasSubstr("(in 1.build, which built the same environment)"));
  const v1::Experiment later = Create();
  EXPECT_EQ(api_->Place(Uid(later, "build"), environment_)->attempt(), 1) << "who comes later tries again";
}

// Jobs of containers keep the base image of the creation of their experiment.
class ImagesTest : public EnvironmentsTest {
 protected:
  void SetUp() override {
    EnvironmentsTest::SetUp();
    api_->RestartWith(true);
    api_->builder().Reset(internal::v1::Environment::MISSING, kBase);
  }
  void TearDown() override {
    api_->RestartWith(false);
    EnvironmentsTest::TearDown();
  }
  static constexpr char kBase[] = "docker.io/library/python:3.11@sha256:abc";
};

TEST_F(ImagesTest, EveryExperimentHasABaseImageAndABuild) {
  const v1::Experiment experiment = ApiTestBase::Create(kSingle);
  ASSERT_NE(Uid(experiment, "build"), "") << "nothing is installed, but the image is made";
  const v1::Job& job = *std::ranges::find(experiment.jobs(), "train", &v1::Job::role);
  EXPECT_EQ(job.runtime(), v1::Job::CONTAINER);
  EXPECT_EQ(job.image_digest(), "sha256:abc");
  const internal::v1::Work work = api_->WorkOf(Uid(experiment, "build"));
  EXPECT_EQ(work.environment().base_image(), kBase);
  EXPECT_NE(work.environment().commit(), "");
}

TEST_F(ImagesTest, AnImageThatDoesNotExistFailsTheCreation) {
  api_->builder().BreakResolve({grpc::StatusCode::NOT_FOUND, "image docker.io/library/python:9 not found"});
  const auto refused = api_->Create(key_, user_, kSingle);
  EXPECT_TRUE(absl::IsNotFound(refused.status())) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("find the image of the experiment: image docker.io/library/python:9 not found"));
}

TEST_F(ImagesTest, ARegistryThatDoesNotAnswerIsNamed) {
  api_->builder().BreakResolve({grpc::StatusCode::DEADLINE_EXCEEDED, "too late"});
  const auto refused = api_->Create(key_, user_, kSingle);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << "clients must not try again: " << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("did not answer within 20s; try again later"));
}

TEST_F(ImagesTest, JobsOfProcessesHaveNone) {
  api_->RestartWith(false);
  const v1::Experiment experiment = ApiTestBase::Create(kSingle);
  EXPECT_EQ(Uid(experiment, "build"), "");
  EXPECT_EQ(experiment.jobs(0).runtime(), v1::Job::PROCESS);
  EXPECT_EQ(experiment.jobs(0).image_digest(), "");
}

}  // namespace
}  // namespace riseml::api
