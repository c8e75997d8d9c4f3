// The stream of an experiment and its history, as clients see them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <pqxx/pqxx>

#include "services/api/testing/api_fixture.h"
#include "services/api/watch/watchers.h"
#include "services/common/base/clock.h"
#include "services/common/base/status.h"
#include "services/common/rpc/status.h"

namespace riseml::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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

// A stream that tells in pieces what it found is woken meanwhile: it looks again when the pieces are told.
TEST_F(WatchTest, NewsBetweenTwoPiecesAreNotForgotten) {
  sql::Pool pool(api_->database(), 1);
  WatchCache feed(pool);  // reads nothing: it was not started
  ThreadExecutor executor(1);
  using Stream = Watch<v1::WatchExperimentResponse>;
  std::promise<void> looked_again;
  int fills = 0;
  Stream* const watch = Stream::Start(feed, executor, [&]() -> absl::StatusOr<WatchBatch<v1::WatchExperimentResponse>> {
    ++fills;
    if (fills == 1) feed.WakeAll();
    if (fills == 3) looked_again.set_value();
    return WatchBatch<v1::WatchExperimentResponse>{.more = fills == 1};
  });
  EXPECT_EQ(looked_again.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
  executor.Stop();
  watch->OnDone();
}

// People see ten changes at once, and what happens faster than they read together.
TEST(PaceTest, ABurstPassesThenFourASecond) {
  FakeClock clock;
  Pace pace;
  int passed = 0;
  for (int i = 0; i < 100; ++i) passed += pace.Take(clock.Now());
  EXPECT_EQ(passed, 10);
  clock.Advance(absl::Milliseconds(250));
  EXPECT_TRUE(pace.Take(clock.Now()));
  EXPECT_FALSE(pace.Take(clock.Now()));
  clock.Advance(absl::Hours(1));
  passed = 0;
  for (int i = 0; i < 100; ++i) passed += pace.Take(clock.Now());
  EXPECT_EQ(passed, 10);
}

// 101 watches, on two connections since one carries 100 streams.
TEST_F(WatchTest, AUserWithTooManyWatchesIsRefusedFurtherOnes) {
  const v1::Experiment e = Create(kSingle);
  const auto first = v1::ExperimentService::NewStub(api_->UserChannel());
  const auto second = v1::ExperimentService::NewStub(api_->UserChannel());
  struct Open {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchExperimentResponse>> reader;
  };
  v1::WatchExperimentRequest request;
  request.set_name(e.name());
  v1::WatchExperimentResponse response;
  std::vector<std::unique_ptr<Open>> open;
  for (int i = 0; i < 100; ++i) {
    open.push_back(std::make_unique<Open>());
    rpc::Prepare(open.back()->context, absl::Seconds(60), "w", key_);
    open.back()->reader = (i < 50 ? first : second)->WatchExperiment(&open.back()->context, request);
    ASSERT_TRUE(open.back()->reader->Read(&response));
  }
  grpc::ClientContext context;
  rpc::Prepare(context, absl::Seconds(60), "w", key_);
  const auto refused = second->WatchExperiment(&context, request);
  EXPECT_FALSE(refused->Read(&response));
  const absl::Status status = rpc::FromGrpc(refused->Finish());
  EXPECT_TRUE(HasReason(status, Reason::kLimitExceeded)) << status;
  EXPECT_TRUE(RetryDelayOf(status).has_value());
  for (const auto& one : open) one->context.TryCancel();
  for (const auto& one : open) EXPECT_EQ(one->reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

// A watch reads jobs and experiments one after the other, and everything may happen in between.
TEST_F(WatchTest, TheEndOfJobsIsToldBeforeTheEndOfTheirExperiment) {
  const v1::Experiment e = Create(kSingle);
  sql::Pool pool(api_->database(), 2);
  WatchCache feed(pool);
  ASSERT_TRUE(feed.Start().ok());
  Database db(pool, feed);
  rpc::Call call;
  pqxx::connection connection(api_->database());
  call.caller.set_kind(internal::v1::Caller::USER);
  call.caller.set_role(v1::User::USER);
  call.caller.set_user(user_);
  call.caller.set_user_uid(
      pqxx::work(connection).exec_params1("SELECT uid FROM users WHERE name = $1", user_)[0].as<std::string>());
  const Recheck anybody = [&call](const rpc::Call&) { return call.caller; };
  v1::WatchExperimentRequest request;
  request.set_name(e.name());
  const auto fill = ExperimentWatcher(db, anybody, {}, call, request);
  const auto jobs = fill();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  ASSERT_FALSE(jobs->end);
  api_->RunToEnd(e.jobs(0).uid());
  const auto last = fill();
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_TRUE(last->end);
  std::vector<std::string> told;
  for (const auto& response : last->responses) {
    if (response.has_job()) told.push_back(v1::Job::State_Name(response.job().state()) + " job");
    if (response.has_experiment()) told.push_back(v1::Experiment::State_Name(response.experiment().state()));
  }
  EXPECT_THAT(told, ElementsAre("FINISHED job", "FINISHED"));
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

// Reads until everything there was has been sent; returns the number of responses of each kind.
struct First {
  int experiments = 0, jobs = 0, with_token = 0;
  std::string token;
};
First ReadFirst(grpc::ClientReader<v1::WatchExperimentResponse>& reader) {
  First first;
  v1::WatchExperimentResponse response;
  while (reader.Read(&response)) {
    first.experiments += response.has_experiment() ? 1 : 0;
    first.jobs += response.has_job() ? 1 : 0;
    first.with_token += response.resume_token().empty() ? 0 : 1;
    first.token = response.resume_token();
    if (response.has_synced()) break;
  }
  return first;
}

TEST_F(WatchTest, ALargeSetComesInPiecesAndAChildWithItsOwnJobsOnly) {
  const v1::Experiment set = Create(
      "project: digits\ntrain:\n  image: x\n  resources: {}\n  run: a {{x}}\n  parameters:\n    x: {range: {min: 1, "
      "max: "
      "1201, step: 1}}\n");
  const int children = set.child_count();
  ASSERT_GT(children, 1000);
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  const auto watch = [&](const std::string& name, bool without_children) {
    grpc::ClientContext context;
    rpc::Prepare(context, absl::Seconds(30), "w", key_);
    v1::WatchExperimentRequest request;
    request.set_name(name);
    request.set_without_children(without_children);
    const auto reader = stub->WatchExperiment(&context, request);
    const First first = ReadFirst(*reader);
    context.TryCancel();
    return first;
  };
  const First whole = watch(set.name(), false);
  EXPECT_EQ(whole.experiments, children + 1);
  EXPECT_EQ(whole.jobs, children);
  EXPECT_EQ(whole.with_token, 1) << "a token before the end would leave out the rest";
  EXPECT_EQ(watch(set.name(), true).experiments, 1);
  const First child = watch(set.name() + ".7", false);
  EXPECT_EQ(child.experiments, 1);
  EXPECT_EQ(child.jobs, 1);
}

TEST_F(WatchTest, ChangesElsewhereDoNotWakeIt) {
  const v1::Experiment watched = Create(kSingle), other = Create(kSingle);
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  grpc::ClientContext context;
  rpc::Prepare(context, absl::Seconds(30), "w", key_);
  v1::WatchExperimentRequest request;
  request.set_name(watched.name());
  const auto reader = stub->WatchExperiment(&context, request);
  ReadFirst(*reader);
  for (int i = 0; i < 3; ++i) api_->RunToEnd(Create(kSingle).jobs(0).uid());
  api_->RunToEnd(other.jobs(0).uid());
  ASSERT_TRUE(api_->Kill(key_, watched.name()).ok());
  v1::WatchExperimentResponse response;
  int before_the_end = 0;
  // Its creation may come once more: the first look and the feed both show it.
  while (reader->Read(&response) && response.experiment().state() != v1::Experiment::KILLED)
    before_the_end += response.has_job() || response.has_experiment() ? 0 : 1;
  // Once, for what the feed had not shown before the watch was told which experiment it follows.
  EXPECT_LE(before_the_end, 1) << "responses without content came for changes of other experiments";
  while (reader->Read(&response)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(WatchTest, ATokenThatTheDatabaseHasNotReachedIsRefused) {
  const v1::Experiment e = Create(kSingle);
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  grpc::ClientContext context;
  rpc::Prepare(context, absl::Seconds(30), "w", key_);
  v1::WatchExperimentRequest request;
  request.set_name(e.name());
  request.set_resume_token("999999999999:1");
  const auto reader = stub->WatchExperiment(&context, request);
  v1::WatchExperimentResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const absl::Status status = rpc::FromGrpc(reader->Finish());
  EXPECT_TRUE(HasReason(status, Reason::kResumeTokenExpired)) << status;
}

TEST_F(WatchTest, TheEndOfAnOlderAttemptIsTold) {
  const v1::Experiment e = Create(kSingle);
  const std::string uid = e.jobs(0).uid();
  ASSERT_EQ(api_->Place(uid)->attempt(), 1);
  pqxx::connection db(api_->database());
  {
    // As a retry does, while the first attempt has not ended yet.
    pqxx::work tx(db);
    tx.exec_params("UPDATE jobs SET attempt_count = 2 WHERE uid = $1", uid);
    tx.commit();
  }
  const auto feed = [&] {
    pqxx::work tx(db);
    return tx.exec_params1("SELECT count(*) FROM feed WHERE uid = $1", uid)[0].as<int>();
  };
  const int before = feed();
  ASSERT_TRUE(api_->Report(uid, 1, internal::v1::Observation::STOPPED).ok());
  EXPECT_EQ(feed(), before + 1);
}

TEST_F(WatchTest, AnUnknownStateInAFilterIsRefused) {
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  v1::ListExperimentsRequest request;
  request.set_parent("users/" + user_);
  request.add_states(static_cast<v1::Experiment::State>(77));
  const auto list = rpc::Invoke<v1::ListExperimentsResponse>(
      [&](auto* c, auto* r) { return stub->ListExperiments(c, request, r); }, {.credential = key_});
  EXPECT_TRUE(absl::IsInvalidArgument(list.status())) << list.status();
  EXPECT_THAT(std::string(list.status().message()), HasSubstr("77 is no state of an experiment"));

  for (int i = 0; i < 100; ++i) request.add_states(v1::Experiment::FINISHED);
  const auto many = rpc::Invoke<v1::ListExperimentsResponse>(
      [&](auto* c, auto* r) { return stub->ListExperiments(c, request, r); }, {.credential = key_});
  EXPECT_THAT(std::string(many.status().message()), HasSubstr("states: at most 64"));
}

TEST_F(WatchTest, LogStreamsAreListedInPages) {
  const v1::Experiment e = Create(kSingle);
  const std::string uid = e.jobs(0).uid();
  constexpr int kAttempts = 5'001;
  {
    pqxx::connection db(api_->database());
    pqxx::work tx(db);
    tx.exec_params(
        "INSERT INTO attempts (job_uid, number, state, node, epoch) SELECT $1, n, 'FINISHED', 'local', 1 FROM "
        "generate_series(1, $2) n",
        uid, kAttempts);
    tx.commit();
  }
  const auto stub = internal::v1::LogRegistryService::NewStub(api_->ServiceChannel("loghandler"));
  internal::v1::ListStreamsRequest request;
  request.set_credential(key_);
  request.set_name(e.name());
  std::vector<int> numbers, pages;
  do {
    const auto page = rpc::Invoke<internal::v1::ListStreamsResponse>(
        [&](auto* c, auto* r) { return stub->ListStreams(c, request, r); });
    ASSERT_TRUE(page.ok()) << page.status();
    pages.push_back(page->streams_size());
    for (const internal::v1::StreamInfo& stream : page->streams()) numbers.push_back(stream.attempt());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(pages, ElementsAre(5'000, 1));
  EXPECT_TRUE(std::ranges::is_sorted(numbers));
  EXPECT_EQ(numbers.back(), kAttempts);
  request.set_page_token("nonsense");
  EXPECT_FALSE(rpc::Invoke<internal::v1::ListStreamsResponse>([&](auto* c, auto* r) {
                 return stub->ListStreams(c, request, r);
               }).ok());
}

TEST_F(WatchTest, ALogStreamSaysWhenItsAttemptEnded) {
  const v1::Experiment e = Create(kSingle);
  api_->RunToEnd(e.jobs(0).uid());
  pqxx::connection db(api_->database());
  pqxx::work tx(db);
  tx.exec_params(
      "UPDATE attempts SET end_time = to_timestamp(1700000000.25) WHERE job_uid = $1 AND number = "
      "(SELECT max(number) FROM attempts WHERE job_uid = $1)",
      e.jobs(0).uid());
  tx.exec_params(
      "INSERT INTO attempts (job_uid, number, state, node, epoch) SELECT $1, max(number) + 1, 'RUNNING', 'local', 1 "
      "FROM "
      "attempts WHERE job_uid = $1",
      e.jobs(0).uid());
  tx.commit();
  const auto stub = internal::v1::LogRegistryService::NewStub(api_->ServiceChannel("loghandler"));
  internal::v1::ListStreamsRequest request;
  request.set_credential(key_);
  request.set_name(e.name());
  const auto list = rpc::Invoke<internal::v1::ListStreamsResponse>(
      [&](auto* c, auto* r) { return stub->ListStreams(c, request, r); });
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->streams_size(), 2);
  EXPECT_EQ(list->streams(0).end_time().seconds(), 1'700'000'000);
  EXPECT_EQ(list->streams(0).end_time().nanos(), 250'000'000);
  EXPECT_FALSE(list->streams(1).has_end_time());
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
