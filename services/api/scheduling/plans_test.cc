// Plans over the wire: groups are placed whole or not at all, within limits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"

namespace riseml::api {
namespace {

using internal::v1::CommitPlanRequest;
using internal::v1::CommitPlanResponse;
using internal::v1::Observation;
using testing::HasSubstr;
using testing::IsEmpty;

class PlansTest : public ApiTestBase {
 protected:
  absl::StatusOr<CommitPlanResponse> Commit(CommitPlanRequest request) {
    request.set_epoch(api_->epoch());
    const auto stub = internal::v1::SchedulingService::NewStub(api_->ServiceChannel("scheduler"));
    return rpc::Invoke<CommitPlanResponse>([&](auto* c, auto* r) { return stub->CommitPlan(c, request, r); });
  }
  static void AddGroup(const std::vector<std::string>& jobs, CommitPlanRequest* request) {
    internal::v1::PlacementGroup* const group = request->add_groups();
    for (const std::string& job : jobs) {
      group->add_placements()->set_job_uid(job);
      group->mutable_placements()->rbegin()->set_node("local");
    }
  }
  std::string Uid(const v1::Experiment& experiment) { return experiment.jobs(0).uid(); }
};

TEST_F(PlansTest, AGroupIsPlacedWholeOrNotAtAll) {
  const v1::Experiment a = Create(kSingle), b = Create(kSingle), c = Create(kSingle);
  ASSERT_TRUE(api_->Kill(key_, b.name()).ok());
  CommitPlanRequest request;
  AddGroup({Uid(a), Uid(b)}, &request);
  AddGroup({Uid(c)}, &request);
  const auto committed = Commit(request);
  ASSERT_TRUE(committed.ok()) << committed.status();
  ASSERT_EQ(committed->groups_size(), 2);
  const auto& refused = committed->groups(0);
  EXPECT_THAT(refused.results(0).message(), HasSubstr("another job of its group was refused: the job is to be killed"));
  EXPECT_THAT(refused.results(1).message(), HasSubstr("the job is to be killed"));
  EXPECT_EQ(refused.results(0).attempt(), 0);
  EXPECT_THAT(refused.results(0).token(), IsEmpty());
  EXPECT_EQ(Get(a.name()).state(), v1::Experiment::PENDING);
  EXPECT_EQ(Get(a.name()).jobs(0).attempt_count(), 0);
  EXPECT_EQ(committed->groups(1).results(0).attempt(), 1) << "other groups are not concerned";

  const v1::Experiment d = Create(kSingle);
  CommitPlanRequest again;
  AddGroup({Uid(a), Uid(d)}, &again);
  const auto placed = Commit(again);
  ASSERT_TRUE(placed.ok()) << placed.status();
  for (const auto& result : placed->groups(0).results()) EXPECT_EQ(result.attempt(), 1);
  EXPECT_EQ(Get(a.name()).state(), v1::Experiment::STARTING);
}

TEST_F(PlansTest, RejectedAttemptLeavesItsJobWaiting) {
  const v1::Experiment experiment = Create(kSingle);
  const std::string uid = Uid(experiment);
  ASSERT_EQ(api_->Place(uid)->attempt(), 1);
  ASSERT_TRUE(api_->Report(uid, 1, Observation::REJECTED).ok());
  const v1::Experiment waiting = Get(experiment.name());
  EXPECT_EQ(waiting.state(), v1::Experiment::PENDING);
  EXPECT_EQ(waiting.jobs(0).state(), v1::Job::PENDING);
  ASSERT_EQ(api_->Place(uid)->attempt(), 2);
  ASSERT_TRUE(api_->Kill(key_, experiment.name()).ok());
  ASSERT_TRUE(api_->Report(uid, 2, Observation::REJECTED).ok());
  EXPECT_EQ(Get(experiment.name()).state(), v1::Experiment::KILLED);
}

TEST_F(PlansTest, EvictedAttemptIsStoppedAndItsJobWaitsAgain) {
  const v1::Experiment experiment = Create(kSingle);
  const std::string uid = Uid(experiment);
  ASSERT_EQ(api_->Place(uid)->attempt(), 1);
  ASSERT_TRUE(api_->Report(uid, 1, Observation::STARTED).ok());
  CommitPlanRequest request;
  internal::v1::Eviction* const eviction = request.add_evictions();
  eviction->set_job_uid(uid);
  eviction->set_attempt(1);
  EXPECT_TRUE(absl::IsInvalidArgument(Commit(request).status())) << "without a reason";
  eviction->set_reason("GANG_INCOMPLETE");
  eviction->set_message("1.ps of its group waits again");
  ASSERT_TRUE(Commit(request).ok());
  EXPECT_EQ(Get(experiment.name()).state(), v1::Experiment::RUNNING) << "until it has stopped";
  ASSERT_TRUE(api_->Report(uid, 1, Observation::STOPPED).ok());
  const v1::Experiment waiting = Get(experiment.name());
  EXPECT_EQ(waiting.state(), v1::Experiment::PENDING);
  EXPECT_EQ(waiting.jobs(0).reason(), "GANG_INCOMPLETE");
  EXPECT_EQ(waiting.jobs(0).message(), "1.ps of its group waits again");

  ASSERT_EQ(api_->Place(uid)->attempt(), 2);
  ASSERT_TRUE(Commit(request).ok()) << "of an attempt that has ended: nothing happens";
  ASSERT_TRUE(api_->Report(uid, 2, Observation::STARTED).ok());
  eviction->set_attempt(2);
  ASSERT_TRUE(Commit(request).ok());
  ASSERT_TRUE(api_->Kill(key_, experiment.name()).ok());
  ASSERT_TRUE(api_->Report(uid, 2, Observation::STOPPED).ok());
  EXPECT_EQ(Get(experiment.name()).state(), v1::Experiment::KILLED) << "a kill wins";
}

TEST_F(PlansTest, EvictedAttemptThatEndsByItselfKeepsItsEnd) {
  const v1::Experiment experiment = Create(kSingle);
  const std::string uid = Uid(experiment);
  ASSERT_EQ(api_->Place(uid)->attempt(), 1);
  CommitPlanRequest request;
  internal::v1::Eviction* const eviction = request.add_evictions();
  eviction->set_job_uid(uid);
  eviction->set_attempt(1);
  eviction->set_reason("GANG_INCOMPLETE");
  ASSERT_TRUE(Commit(request).ok());
  ASSERT_TRUE(api_->Report(uid, 1, Observation::EXITED, 0).ok());
  EXPECT_EQ(Get(experiment.name()).state(), v1::Experiment::FINISHED);
}

TEST_F(PlansTest, LimitsAreTold) {
  const auto refused = [&](const CommitPlanRequest& request) {
    const absl::Status status = Commit(request).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  CommitPlanRequest empty;
  empty.add_groups();
  EXPECT_THAT(refused(empty), HasSubstr("a group has no placement"));
  const std::string uid = NewUuid();
  CommitPlanRequest twice;
  AddGroup({uid}, &twice);
  AddGroup({uid}, &twice);
  EXPECT_THAT(refused(twice), HasSubstr("is placed twice"));
  CommitPlanRequest build;
  AddGroup({uid, NewUuid()}, &build);
  build.mutable_groups(0)->mutable_placements(0)->set_environment_key("key");
  EXPECT_THAT(refused(build), HasSubstr("is not alone"));
  CommitPlanRequest many;
  for (int i = 0; i < 1000; ++i) many.add_waits()->set_job_uid(NewUuid());
  EXPECT_TRUE(Commit(many).ok());
  AddGroup({uid}, &many);
  EXPECT_THAT(refused(many), HasSubstr("at most 1000 placements, waits and evictions, not 1001"));
}

// Plans, waits and kills lock roots before anything below them, in one order.
TEST_F(PlansTest, PlansAndKillsDoNotBlockEachOther) {
  std::vector<v1::Experiment> experiments;
  for (int i = 0; i < 12; ++i) experiments.push_back(Create(kSingle));
  std::jthread killer([&] {
    for (const v1::Experiment& experiment : experiments) EXPECT_TRUE(api_->Kill(key_, experiment.name()).ok());
  });
  for (int round = 0; round < 12; ++round) {
    CommitPlanRequest request;
    for (std::size_t i = 0; i < experiments.size(); ++i) {
      // In another order each time.
      internal::v1::Wait* const wait = request.add_waits();
      wait->set_job_uid(Uid(experiments[(i * 5 + round) % experiments.size()]));
      wait->set_reason("NO_CAPACITY");
      wait->set_message(absl::StrCat("round ", round));
    }
    const auto committed = Commit(request);
    EXPECT_TRUE(committed.ok()) << committed.status();
  }
  killer.join();
  for (const v1::Experiment& experiment : experiments)
    EXPECT_EQ(Get(experiment.name()).state(), v1::Experiment::KILLED);
}

}  // namespace
}  // namespace riseml::api
