// The keys of riseml.yml for scheduling reach the scheduler and the views of an experiment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/status_macros.h"

namespace riseml::api {
namespace {

using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

class SchedulingDataTest : public ApiTestBase {
 protected:
  absl::StatusOr<internal::v1::JobTemplate> TemplateOf(const std::string& job_uid) {
    const auto stub = internal::v1::SchedulingService::NewStub(api_->ServiceChannel("scheduler"));
    internal::v1::GetJobTemplateRequest request;
    request.set_job_uid(job_uid);
    RISEML_ASSIGN_OR_RETURN(const auto response,
                            rpc::Invoke<internal::v1::GetJobTemplateResponse>(
                                [&](auto* c, auto* r) { return stub->GetJobTemplate(c, request, r); }));
    return response.template_();
  }
};

TEST_F(SchedulingDataTest, ReachesTheSchedulerAndTheViews) {
  const v1::Experiment experiment = Create(
      absl::StrCat(kSingle, "  queue: default\n  priority: -3\n  node_selector: {gpu: a100}\n  max_run_time: 90m\n"));
  const internal::v1::Work work = api_->WorkOf(experiment.jobs(0).uid());
  EXPECT_EQ(work.queue(), "default");
  EXPECT_EQ(work.priority(), -3);
  EXPECT_THAT(work.node_selectors(), UnorderedElementsAre(Pair("gpu", "a100")));
  EXPECT_EQ(TemplateOf(work.job_uid())->max_run_time().seconds(), 5400);
  EXPECT_EQ(work.resources().memory_bytes(), 1'024'000'000);
  EXPECT_EQ(work.member_index(), 0);
  EXPECT_EQ(work.member_count(), 1);
  EXPECT_EQ(work.gang(), "");

  const v1::Experiment seen = Get(experiment.name());
  EXPECT_EQ(seen.spec().priority(), -3);
  EXPECT_THAT(seen.spec().node_selectors(), UnorderedElementsAre(Pair("gpu", "a100")));
  EXPECT_EQ(seen.spec().max_run_time().seconds(), 5400);
  EXPECT_EQ(seen.jobs(0).resources().memory_bytes(), 1'024'000'000);
  EXPECT_EQ(seen.jobs(0).member_count(), 1);
}

TEST_F(SchedulingDataTest, BuildsHaveNoRunTimeLimitOfTheirJob) {
  api_->builder().Reset(internal::v1::Environment::MISSING);
  const v1::Experiment experiment = Create(absl::StrCat(kInstall, "  max_run_time: 1s\n"));
  for (const v1::Job& job : experiment.jobs())
    if (job.role() == "build") EXPECT_FALSE(TemplateOf(job.uid())->has_max_run_time());
}

TEST_F(SchedulingDataTest, OnlyAdministratorsGoAheadOfOthers) {
  const std::string yaml = absl::StrCat(kSingle, "  priority: 1\n");
  const auto refused = api_->Create(key_, user_, yaml);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(refused.status().message(), HasSubstr("only an administrator may give a priority above 0"));
  EXPECT_TRUE(api_->Create(api_->admin_key(), user_, yaml).ok());
}

}  // namespace
}  // namespace riseml::api
