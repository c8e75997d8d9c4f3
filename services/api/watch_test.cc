// What clients are told of changes: the stream of an experiment and its history.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/api/api_fixture.h"

namespace riseml::api {
namespace {

using testing::ElementsAre;

using WatchTest = ApiTestBase;

TEST_F(WatchTest, WatchSendsEverythingThenChangesThenEnds) {
  const v1::Experiment e = Create(kSingle);
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  grpc::ClientContext context;
  rpc::Prepare(context, absl::Seconds(30), "w", key_);
  v1::WatchExperimentRequest request;
  request.set_name(e.name());
  const auto reader = stub->WatchExperiment(&context, request);
  v1::WatchExperimentResponse response;
  std::vector<v1::Experiment::State> states;
  bool synced = false;
  while (reader->Read(&response)) {
    if (response.has_experiment() && (states.empty() || states.back() != response.experiment().state()))
      states.push_back(response.experiment().state());
    if (response.has_synced()) {
      synced = true;
      api_->RunToEnd(e.jobs(0).uid());
    }
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(synced);
  EXPECT_EQ(states.front(), v1::Experiment::PENDING);
  EXPECT_EQ(states.back(), v1::Experiment::FINISHED);
}

TEST_F(WatchTest, WatchResumesAcrossARestart) {
  const v1::Experiment e = Create(kSingle);
  v1::WatchExperimentRequest request;
  request.set_name(e.name());
  {
    const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
    grpc::ClientContext context;
    rpc::Prepare(context, absl::Seconds(30), "w", key_);
    const auto reader = stub->WatchExperiment(&context, request);
    v1::WatchExperimentResponse response;
    while (reader->Read(&response))
      if (response.has_synced()) break;
    request.set_resume_token(response.resume_token());
    context.TryCancel();
  }
  EXPECT_EQ(api_->Place(e.jobs(0).uid())->attempt(), 1);
  api_->Restart();
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  grpc::ClientContext context;
  rpc::Prepare(context, absl::Seconds(30), "w", key_);
  const auto reader = stub->WatchExperiment(&context, request);
  v1::WatchExperimentResponse response;
  bool starting = false;
  while (!starting && reader->Read(&response)) {
    EXPECT_FALSE(response.has_synced()) << "resumed, not started anew";
    starting = response.has_experiment() && response.experiment().state() == v1::Experiment::STARTING;
  }
  EXPECT_TRUE(starting);
  context.TryCancel();
}

TEST_F(WatchTest, EveryTransitionIsInTheHistory) {
  const v1::Experiment e = Create(kSingle);
  api_->RunToEnd(e.jobs(0).uid());
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  v1::ListTransitionsRequest request;
  request.set_parent(e.name());
  const auto list = rpc::Invoke<v1::ListTransitionsResponse>(
      [&](auto* c, auto* r) { return stub->ListTransitions(c, request, r); }, {.credential = key_});
  ASSERT_TRUE(list.ok()) << list.status();
  std::vector<std::string> job;
  for (const v1::Transition& t : list->transitions())
    if (t.object() == "1.train" && t.attempt() == 0) job.push_back(t.to());
  EXPECT_THAT(job, ElementsAre("PENDING", "STARTING", "RUNNING", "FINISHED"));
}

}  // namespace
}  // namespace riseml::api
