// Bytes of outputs, logs and code: what is counted for a user, and what follows. After each test the fixture compares
// the sums with the rows.
#include "services/api/data/stored_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/log_registry.grpc.pb.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/status.h"

namespace riseml::api {
namespace {

using internal::v1::Observation;
using internal::v1::OutputSize;
using ::testing::HasSubstr;

constexpr std::int64_t kStoredGib = std::int64_t{1} << 30;

OutputSize SizeOf(std::int64_t bytes, std::int64_t shared = 0, bool at_least = false) {
  OutputSize size;
  size.set_bytes(bytes);
  size.set_shared_bytes(shared);
  size.set_at_least(at_least);
  return size;
}

class StoredBytesTest : public ApiTestBase {
 protected:
  v1::User Caller(const std::string& key) {
    const auto stub = v1::UserService::NewStub(api_->UserChannel());
    const auto user =
        rpc::Invoke<v1::User>([&](auto* c, auto* r) { return stub->GetCaller(c, {}, r); }, {.credential = key});
    EXPECT_TRUE(user.ok()) << user.status();
    return user.value_or(v1::User());
  }
  std::int64_t Stored() { return Caller(key_).stored_bytes(); }

  absl::Status ReportAll(const std::vector<Observation>& observations) {
    const auto stub = internal::v1::SchedulingService::NewStub(api_->ServiceChannel("scheduler"));
    internal::v1::ReportObservationsRequest request;
    request.set_epoch(api_->epoch());
    request.mutable_observations()->Add(observations.begin(), observations.end());
    return rpc::Invoke<internal::v1::ReportObservationsResponse>(
               [&](auto* c, auto* r) { return stub->ReportObservations(c, request, r); })
        .status();
  }
  static Observation EndOf(const std::string& job_uid, int attempt, const std::optional<OutputSize>& size,
                           int exit_code = 0) {
    Observation end;
    end.set_job_uid(job_uid);
    end.set_attempt(attempt);
    end.set_event(Observation::EXITED);
    end.set_exit_code(exit_code);
    end.set_exit_class(exit_code == 0 ? v1::Attempt::SUCCESS : v1::Attempt::USER_ERROR);
    if (size) *end.mutable_output() = *size;
    return end;
  }
  // Places an attempt and reports until its end; returns its number.
  int Run(const std::string& job_uid, const std::optional<OutputSize>& size, int exit_code = 0) {
    const auto placed = api_->Place(job_uid);
    EXPECT_TRUE(placed.ok() && placed->attempt() > 0) << placed.status();
    EXPECT_TRUE(api_->Report(job_uid, placed->attempt(), Observation::STARTED).ok());
    EXPECT_TRUE(ReportAll({EndOf(job_uid, placed->attempt(), size, exit_code)}).ok());
    return placed->attempt();
  }
  // The next attempt need not wait for its time.
  void SkipPause(const std::string& job_uid) {
    pqxx::connection db(api_->database());
    pqxx::work tx(db);
    tx.exec_params("UPDATE jobs SET not_before = NULL WHERE uid = $1", job_uid);
    tx.commit();
  }
  v1::Experiment Child(const v1::Experiment& set, int number) { return Get(absl::StrCat(set.name(), ".", number)); }
  static std::string Uid(const v1::Experiment& experiment) { return experiment.jobs(0).uid(); }
};

TEST_F(StoredBytesTest, OutputAndLogOfAnExperimentCountUntilItIsDeleted) {
  const v1::Experiment experiment = Create(kSingle);
  Run(Uid(experiment), SizeOf(5000, 0, true));
  EXPECT_EQ(Stored(), 5000);
  EXPECT_EQ(Get(experiment.name()).output_bytes(), 5000);
  EXPECT_TRUE(Get(experiment.name()).output_at_least());
  api_->CompleteLog(Uid(experiment), 1, 70);
  api_->CompleteLog(Uid(experiment), 1, 70);
  EXPECT_EQ(Stored(), 5070) << "once, however often it is reported";
  api_->CompleteLog(Uid(experiment), 1, 90);
  EXPECT_EQ(Stored(), 5090) << "a log that has grown all the same";
  ASSERT_TRUE(DeleteExperiment(experiment.name()).ok());
  EXPECT_EQ(Stored(), 0);
  EXPECT_TRUE(ReportAll({EndOf(Uid(experiment), 1, SizeOf(5000))}).ok());
  EXPECT_EQ(Stored(), 0) << "of what is deleted";
}

TEST_F(StoredBytesTest, AttemptsOfAJobShareAnOutput) {
  const v1::Experiment experiment =
      Create("project: digits\ntrain: {image: x, resources: {}, run: a, retries: {error: 2}}\n");
  const std::string uid = Uid(experiment);
  ASSERT_EQ(Run(uid, SizeOf(1000), 1), 1);
  EXPECT_EQ(Stored(), 1000);
  SkipPause(uid);
  ASSERT_EQ(Run(uid, SizeOf(400), 1), 2);
  EXPECT_EQ(Stored(), 400) << "it has replaced what the first had written";
  EXPECT_TRUE(ReportAll({EndOf(uid, 1, SizeOf(1000), 1), EndOf(uid, 2, SizeOf(900), 1)}).ok());
  EXPECT_EQ(Stored(), 400) << "told again";
  SkipPause(uid);
  ASSERT_EQ(Run(uid, std::nullopt), 3);
  EXPECT_EQ(Stored(), 400) << "of a node that does not measure";
  EXPECT_EQ(Get(experiment.name()).output_bytes(), 400);
}

TEST_F(StoredBytesTest, ALateReportOfALostAttemptCountsUnlessANewerOneDid) {
  const v1::Experiment experiment =
      Create("project: digits\ntrain: {image: x, resources: {}, run: a, retries: {infrastructure: 1}}\n");
  const std::string uid = Uid(experiment);
  ASSERT_EQ(api_->Place(uid)->attempt(), 1);
  ASSERT_TRUE(api_->Report(uid, 1, Observation::STARTED).ok());
  ASSERT_TRUE(api_->Report(uid, 1, Observation::LOST).ok());
  SkipPause(uid);
  const v1::Experiment waiting = Get(experiment.name());
  EXPECT_TRUE(ReportAll({EndOf(uid, 1, SizeOf(800))}).ok());
  EXPECT_EQ(Stored(), 800);
  EXPECT_EQ(Get(experiment.name()).state(), waiting.state());
  ASSERT_EQ(Run(uid, SizeOf(300)), 2);
  EXPECT_EQ(Stored(), 300);

  const v1::Experiment other = Create(kSingle);
  ASSERT_EQ(api_->Place(Uid(other))->attempt(), 1);
  ASSERT_TRUE(api_->Report(Uid(other), 1, Observation::LOST).ok());
  EXPECT_TRUE(ReportAll({EndOf(Uid(other), 1, SizeOf(50))}).ok());
  EXPECT_EQ(Stored(), 350);
}

TEST_F(StoredBytesTest, ASetHasTheOutputsOfItsChildrenAndWhatTheyShare) {
  const v1::Experiment set = Create(kSet);
  Run(Uid(Child(set, 1)), SizeOf(100, 5000));
  Run(Uid(Child(set, 2)), SizeOf(200, 7000));
  EXPECT_EQ(Stored(), 7300);
  EXPECT_EQ(Get(set.name()).output_bytes(), 7300);
  EXPECT_EQ(Child(set, 2).output_bytes(), 200);
  Run(Uid(Child(set, 3)), SizeOf(300, 1000));
  EXPECT_EQ(Stored(), 1600) << "somebody has tidied up";
  for (int child = 1; child <= 3; ++child) api_->CompleteLog(Uid(Child(set, child)), 1, 10);
  EXPECT_EQ(Stored(), 1630);
  ASSERT_TRUE(DeleteExperiment(set.name()).ok());
  EXPECT_EQ(Stored(), 0);
}

TEST_F(StoredBytesTest, NumbersThatAreNoSizesAreClamped) {
  const v1::Experiment first = Create(kSingle), second = Create(kSingle);
  Run(Uid(first), SizeOf(-5));
  api_->CompleteLog(Uid(first), 1, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(Stored(), 0);
  Run(Uid(second), SizeOf(std::numeric_limits<std::int64_t>::max()));
  api_->CompleteLog(Uid(second), 1, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(Stored(), 2 * (std::int64_t{1} << 46));
  EXPECT_TRUE(DeleteExperiment(second.name()).ok());
}

TEST_F(StoredBytesTest, WhoKeepsTooMuchIsRefusedUntilSomethingIsDeleted) {
  const v1::User before = Caller(key_);
  EXPECT_EQ(before.stored_bytes_limit(), 500 * kStoredGib);
  EXPECT_EQ(before.experiment_limit(), 100'000);
  const v1::Experiment large = Create(kSingle), running = Create(kSingle), waiting = Create(kSingle);
  ASSERT_EQ(api_->Place(Uid(running))->attempt(), 1);
  Run(Uid(large), SizeOf(500 * kStoredGib - 1));
  api_->CompleteLog(Uid(large), 1, 0);
  Create(kSingle);
  Run(Uid(waiting), SizeOf(1));
  EXPECT_EQ(Caller(key_).experiment_count(), 4);

  v1::CreateExperimentRequest request = api_->CreateRequest(user_, kSingle);
  const absl::Status refused = api_->Create(key_, request).status();
  EXPECT_TRUE(HasReason(refused, Reason::kLimitExceeded)) << refused;
  EXPECT_EQ(
      std::string(refused.message()),
      "you keep 500 GiB of outputs, logs and code, 500 GiB are allowed; delete what you do not need with riseml rm "
      "ID or riseml project rm NAME, or ask an administrator to raise the limit");
  EXPECT_EQ(MetadataOf(refused)["limit"], absl::StrCat(500 * kStoredGib));
  EXPECT_EQ(MetadataOf(refused)["used"], absl::StrCat(500 * kStoredGib));
  EXPECT_THAT(std::string(api_->Create(api_->admin_key(), user_, kSingle).status().message()),
              HasSubstr(absl::StrCat("user ", user_, " keeps 500 GiB of outputs")));
  EXPECT_EQ(Get(running.name()).state(), v1::Experiment::STARTING) << "what runs goes on";
  EXPECT_TRUE(api_->Report(Uid(running), 1, Observation::STARTED).ok());

  ASSERT_TRUE(DeleteExperiment(large.name()).ok());
  EXPECT_TRUE(api_->Create(key_, user_, kSingle).ok());
}

TEST_F(StoredBytesTest, ReportsAndDeletionsOfOneUserAtOnceKeepTheSum) {
  std::vector<v1::Experiment> ended, running;
  for (int i = 0; i < 8; ++i) {
    ended.push_back(Create(kSingle));
    Run(Uid(ended.back()), SizeOf(1000 + i));
    api_->CompleteLog(Uid(ended.back()), 1, 10);
    running.push_back(Create(kSingle));
    ASSERT_EQ(api_->Place(Uid(running.back()))->attempt(), 1);
  }
  std::vector<Observation> ends;
  for (const v1::Experiment& experiment : running) ends.push_back(EndOf(Uid(experiment), 1, SizeOf(1)));
  {
    std::vector<std::jthread> threads;
    threads.emplace_back([&] { EXPECT_TRUE(ReportAll(ends).ok()); });
    for (int half = 0; half < 2; ++half)
      threads.emplace_back([&, half] {
        for (int i = half; i < 8; i += 2) EXPECT_TRUE(DeleteExperiment(ended[i].name()).ok());
      });
    threads.emplace_back([&] {
      for (const v1::Experiment& experiment : running) api_->CompleteLog(Uid(experiment), 1, 2);
    });
  }
  EXPECT_EQ(Stored(), 8 * 3);
}

}  // namespace
}  // namespace riseml::api
