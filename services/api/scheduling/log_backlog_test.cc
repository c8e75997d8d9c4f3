// Part of a log that its node reports as not stored, and what users see of it.
#include <gtest/gtest.h>

#include "services/api/testing/api_fixture.h"

namespace riseml::api {
namespace {

class LogBacklogTest : public ApiTestBase {
 protected:
  absl::Status Report(const std::string& token, const v1::ReportLogBacklogRequest& request) {
    const auto stub = v1::JobService::NewStub(api_->UserChannel());
    return rpc::Invoke<v1::ReportLogBacklogResponse>(
               [&](auto* c, auto* r) { return stub->ReportLogBacklog(c, request, r); }, {.credential = token})
        .status();
  }
  static v1::ReportLogBacklogRequest Waiting(std::int64_t bytes) {
    v1::ReportLogBacklogRequest request;
    request.mutable_backlog()->set_bytes(bytes);
    request.mutable_backlog()->set_lost_bytes(7);
    request.mutable_backlog()->mutable_oldest_time()->set_seconds(1'700'000'000);
    return request;
  }
  v1::Attempt AttemptOf(const std::string& experiment) { return Get(experiment).jobs(0).attempts(0); }
};

TEST_F(LogBacklogTest, IsShownUntilItIsOver) {
  const v1::Experiment e = Create(kSingle);
  const auto placed = api_->Place(e.jobs(0).uid());
  ASSERT_TRUE(placed.ok()) << placed.status();
  EXPECT_FALSE(AttemptOf(e.name()).has_log_backlog());
  ASSERT_TRUE(Report(placed->token(), Waiting(5)).ok());
  ASSERT_TRUE(Report(placed->token(), Waiting(6)).ok());
  const v1::LogBacklog shown = AttemptOf(e.name()).log_backlog();
  EXPECT_EQ(shown.bytes(), 6);
  EXPECT_EQ(shown.lost_bytes(), 7);
  EXPECT_EQ(shown.oldest_time().seconds(), 1'700'000'000);
  ASSERT_TRUE(Report(placed->token(), {}).ok());
  EXPECT_FALSE(AttemptOf(e.name()).has_log_backlog());
}

TEST_F(LogBacklogTest, IsOverWhenTheLogIsComplete) {
  const v1::Experiment e = Create(kSingle);
  const auto placed = api_->Place(e.jobs(0).uid());
  ASSERT_TRUE(api_->Report(e.jobs(0).uid(), 1, internal::v1::Observation::STARTED).ok());
  ASSERT_TRUE(api_->Report(e.jobs(0).uid(), 1, internal::v1::Observation::EXITED).ok());
  ASSERT_TRUE(Report(placed->token(), Waiting(5)).ok()) << "after the end of the attempt";
  EXPECT_TRUE(AttemptOf(e.name()).has_log_backlog());
  api_->CompleteLog(e.jobs(0).uid());
  EXPECT_FALSE(AttemptOf(e.name()).has_log_backlog());
  EXPECT_TRUE(Report(placed->token(), Waiting(5)).ok());
  EXPECT_FALSE(AttemptOf(e.name()).has_log_backlog());
}

TEST_F(LogBacklogTest, NonsenseIsRefused) {
  const v1::Experiment e = Create(kSingle);
  const auto placed = api_->Place(e.jobs(0).uid());
  EXPECT_TRUE(absl::IsInvalidArgument(Report(placed->token(), Waiting(-1))));
  v1::ReportLogBacklogRequest late = Waiting(1);
  late.mutable_backlog()->mutable_oldest_time()->set_seconds(std::int64_t{1} << 40);
  EXPECT_TRUE(absl::IsInvalidArgument(Report(placed->token(), late)));
  EXPECT_TRUE(absl::IsUnauthenticated(Report(key_, Waiting(1)))) << "a user is no job";
}

}  // namespace
}  // namespace riseml::api
