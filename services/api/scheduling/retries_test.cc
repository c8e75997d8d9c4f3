// Jobs that have failed wait again as often as their retries say, and no more.
#include "services/api/scheduling/retries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "services/api/testing/api_fixture.h"

namespace riseml::api {
namespace {

using internal::v1::Observation;

TEST(NextRetry, CountsEachKindAndPausesLongerEachTime) {
  v1::RetryPolicy policy;
  policy.set_infrastructure(7);
  policy.set_error(1);
  EXPECT_EQ(NextRetry(policy, v1::Attempt::INFRASTRUCTURE, 1)->pause, absl::Seconds(10));
  EXPECT_EQ(NextRetry(policy, v1::Attempt::INFRASTRUCTURE, 3)->pause, absl::Seconds(40));
  EXPECT_EQ(NextRetry(policy, v1::Attempt::INFRASTRUCTURE, 7)->pause, absl::Minutes(6));
  EXPECT_FALSE(NextRetry(policy, v1::Attempt::INFRASTRUCTURE, 8).has_value());
  EXPECT_EQ(NextRetry(policy, v1::Attempt::USER_ERROR, 1)->most, 1);
  EXPECT_TRUE(NextRetry(policy, v1::Attempt::OUT_OF_MEMORY, 1).has_value());
  EXPECT_FALSE(NextRetry(policy, v1::Attempt::USER_ERROR, 2).has_value());
  EXPECT_FALSE(NextRetry({}, v1::Attempt::INFRASTRUCTURE, 1).has_value());
}

class RetriesTest : public ApiTestBase {
 protected:
  void Start(const std::string& retries) {
    experiment_ = Create(absl::StrCat(kSingle, retries.empty() ? "" : absl::StrCat("  retries: ", retries, "\n")));
  }
  // Places the job, lets it fail and returns the state of the experiment.
  v1::Experiment::State Fail(Observation::Event event) {
    const std::string uid = experiment_.jobs(0).uid();
    const auto placed = api_->Place(uid);
    EXPECT_TRUE(placed.ok() && placed->attempt() > 0);
    EXPECT_TRUE(api_->Report(uid, placed->attempt(), Observation::STARTED).ok());
    EXPECT_TRUE(api_->Report(uid, placed->attempt(), event, 1).ok());
    experiment_ = Get(experiment_.name());
    return experiment_.state();
  }
  v1::Experiment experiment_;
};

TEST_F(RetriesTest, AreOffByDefault) {
  Start("");
  EXPECT_EQ(Fail(Observation::LOST), v1::Experiment::FAILED);
}

TEST_F(RetriesTest, FollowFailuresOfTheNodeButNotOfTheJob) {
  Start("2");
  EXPECT_EQ(Fail(Observation::LOST), v1::Experiment::PENDING);
  const v1::Job& job = experiment_.jobs(0);
  EXPECT_EQ(job.reason(), "NODE_LOST");
  EXPECT_EQ(job.message(), "the node does not know the attempt any more; tried again in 10s, retry 1 of 2");
  EXPECT_EQ(job.attempts(0).exit_class(), v1::Attempt::INFRASTRUCTURE);
  EXPECT_EQ(job.attempts(0).state(), v1::Attempt::FAILED);
  EXPECT_EQ(Fail(Observation::EXITED), v1::Experiment::FAILED);
  EXPECT_EQ(experiment_.jobs(0).attempts(0).exit_class(), v1::Attempt::USER_ERROR);
}

TEST_F(RetriesTest, EndAfterAsManyAsWereAskedFor) {
  Start("{infrastructure: 1, error: 1}");
  EXPECT_EQ(Fail(Observation::EXITED), v1::Experiment::PENDING);
  EXPECT_EQ(Fail(Observation::LOST), v1::Experiment::PENDING) << "each kind has a count of its own";
  EXPECT_EQ(Fail(Observation::EXITED), v1::Experiment::FAILED);
  EXPECT_EQ(experiment_.jobs(0).attempt_count(), 3);
}

TEST_F(RetriesTest, AKilledJobIsNotTriedAgain) {
  Start("{error: 3}");
  const std::string uid = experiment_.jobs(0).uid();
  ASSERT_EQ(api_->Place(uid)->attempt(), 1);
  ASSERT_TRUE(api_->Report(uid, 1, Observation::STARTED).ok());
  ASSERT_TRUE(api_->Kill(key_, experiment_.name()).ok());
  ASSERT_TRUE(api_->Report(uid, 1, Observation::EXITED, 1).ok());
  EXPECT_EQ(Get(experiment_.name()).state(), v1::Experiment::FAILED);
}

TEST_F(RetriesTest, SchedulerIsToldWhenAndWhereNot) {
  Start("1");
  EXPECT_EQ(Fail(Observation::LOST), v1::Experiment::PENDING);
  const internal::v1::Work work = api_->WorkOf(experiment_.jobs(0).uid());
  EXPECT_TRUE(work.has_not_before());
  EXPECT_THAT(work.avoided_nodes(), testing::ElementsAre("local"));
}

}  // namespace
}  // namespace riseml::api
