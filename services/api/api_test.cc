// Lives of experiments and jobs over the wire: states, sets, leadership, lists, limits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pqxx/pqxx>
#include <thread>

#include "absl/strings/str_cat.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"

namespace riseml::api {
namespace {

using internal::v1::Observation;
using testing::ElementsAre;

class ApiTest : public ApiTestBase {
 protected:
  std::string Child(const v1::Experiment& set, int n) { return absl::StrCat(set.name(), ".", n); }
  std::string TrainJob(const std::string& name) { return Get(name).jobs().rbegin()->uid(); }
};

TEST_F(ApiTest, SingleExperimentRunsToItsEnd) {
  v1::Experiment e = Create(kSingle);
  EXPECT_EQ(e.name(), absl::StrCat("users/", user_, "/experiments/1"));
  EXPECT_EQ(e.state(), v1::Experiment::PENDING);
  ASSERT_EQ(e.jobs_size(), 1);
  EXPECT_THAT(e.jobs(0).commands(), ElementsAre("python train.py"));
  const auto placed = api_->Place(e.jobs(0).uid());
  ASSERT_TRUE(placed.ok()) << placed.status();
  EXPECT_EQ(placed->attempt(), 1);
  EXPECT_EQ(Get(e.name()).state(), v1::Experiment::STARTING);
  EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 1, Observation::STARTED).ok());
  EXPECT_EQ(Get(e.name()).state(), v1::Experiment::RUNNING);
  EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 1, Observation::EXITED).ok());
  e = Get(e.name());
  EXPECT_EQ(e.state(), v1::Experiment::FINISHED);
  EXPECT_TRUE(e.has_start_time() && e.has_run_time() && e.has_end_time());
  EXPECT_EQ(e.jobs(0).reason(), "COMPLETED");
  EXPECT_EQ(e.output_path(), absl::StrCat("/out/", user_, "/digits/1"));
}

TEST_F(ApiTest, AnExperimentIsFoundByItsUuidToo) {
  const v1::Experiment e = Create(kSingle);
  EXPECT_EQ(Get(absl::StrCat("users/", user_, "/experiments/", e.uid())).name(), e.name());
}

TEST_F(ApiTest, LateAndRepeatedObservationsChangeNothing) {
  const v1::Experiment e = Create(kSingle);
  api_->RunToEnd(e.jobs(0).uid(), 3);
  const v1::Experiment failed = Get(e.name());
  EXPECT_EQ(failed.state(), v1::Experiment::FAILED);
  EXPECT_EQ(failed.jobs(0).exit_code(), 3);
  for (const Observation::Event event :
       {Observation::STARTED, Observation::EXITED, Observation::STOPPED, Observation::LOST})
    EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 1, event).ok());
  EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 2, Observation::STARTED).ok()) << "of an attempt that never was";
  EXPECT_TRUE(api_->Report(NewUuid(), 1, Observation::STARTED).ok()) << "of a job that never was";
  EXPECT_EQ(Get(e.name()).SerializeAsString(), failed.SerializeAsString());
}

TEST_F(ApiTest, AJobHasAtMostOneLiveAttempt) {
  const v1::Experiment e = Create(kSingle);
  EXPECT_EQ(api_->Place(e.jobs(0).uid())->attempt(), 1);
  const auto again = api_->Place(e.jobs(0).uid());
  EXPECT_EQ(again->attempt(), 0);
  EXPECT_THAT(again->message(), testing::HasSubstr("STARTING"));
}

TEST_F(ApiTest, OldEpochsWriteNothing) {
  const v1::Experiment e = Create(kSingle);
  const auto stub = internal::v1::SchedulingService::NewStub(api_->ServiceChannel("scheduler"));
  internal::v1::CommitPlanRequest request;
  request.set_epoch(api_->epoch() - 1);
  request.add_groups()->add_placements()->set_job_uid(e.jobs(0).uid());
  const auto status = rpc::Invoke<internal::v1::CommitPlanResponse>([&](auto* c, auto* r) {
                        return stub->CommitPlan(c, request, r);
                      }).status();
  EXPECT_TRUE(HasReason(status, Reason::kNotLeader)) << status;
  EXPECT_EQ(MetadataOf(status)["holder"], "test");
  EXPECT_EQ(MetadataOf(status)["epoch"], std::to_string(api_->epoch()));
  EXPECT_EQ(Get(e.name()).state(), v1::Experiment::PENDING);
}

TEST_F(ApiTest, LeadershipIsTakenOverOnlyByItsHolderOrAfterTheLease) {
  const auto stub = internal::v1::SchedulingService::NewStub(api_->ServiceChannel("scheduler"));
  const auto acquire = [&](const std::string& holder, std::int64_t epoch) {
    internal::v1::AcquireLeadershipRequest request;
    request.set_holder(holder);
    request.mutable_lease()->set_seconds(60);
    request.set_epoch(epoch);
    return rpc::Invoke<internal::v1::AcquireLeadershipResponse>(
        [&](auto* c, auto* r) { return stub->AcquireLeadership(c, request, r); });
  };
  const std::int64_t epoch = api_->epoch();
  EXPECT_EQ(acquire("test", epoch)->epoch(), epoch) << "renewal";
  EXPECT_GT(epoch, 1'700'000'000) << "epochs begin with the time, for nodes that remember the ones of another database";
  EXPECT_TRUE(HasReason(acquire("other", 0).status(), Reason::kNotLeader));
}

TEST_F(ApiTest, BuildComesFirstAndItsFailureFailsTheExperiment) {
  api_->builder().Reset(internal::v1::Environment::MISSING);
  const v1::Experiment e = Create(kInstall);
  EXPECT_EQ(e.state(), v1::Experiment::BUILDING);
  ASSERT_EQ(e.jobs_size(), 2);
  EXPECT_EQ(e.jobs(0).role(), "build");
  EXPECT_EQ(e.jobs(1).state(), v1::Job::CREATED);
  EXPECT_EQ(e.jobs(1).wait_reason(), "BUILD");
  const std::string key = NewUuid();
  EXPECT_EQ(api_->Place(e.jobs(0).uid(), key)->attempt(), 1);

  const v1::Experiment second = Create(kInstall);
  const auto refused = api_->Place(second.jobs(0).uid(), key);
  EXPECT_EQ(refused->attempt(), 0);
  EXPECT_EQ(refused->building_job(), absl::StrCat("users/", user_, "/experiments/1/jobs/build"));

  EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 1, Observation::EXITED, 1).ok());
  const v1::Experiment failed = Get(e.name());
  EXPECT_EQ(failed.state(), v1::Experiment::FAILED);
  EXPECT_EQ(failed.reason(), "BUILD_FAILED");
  EXPECT_THAT(failed.message(), testing::StartsWith("its build 1.build failed: "));
  EXPECT_EQ(failed.jobs(1).state(), v1::Job::KILLED);
  EXPECT_EQ(failed.jobs(1).reason(), "BUILD_FAILED");
  EXPECT_EQ(failed.jobs(1).message(), "its build 1.build failed");

  const v1::Experiment third = Create(kInstall);
  EXPECT_EQ(api_->Place(third.jobs(0).uid(), key)->attempt(), 1) << "the key is free again";
  EXPECT_TRUE(api_->Report(third.jobs(0).uid(), 1, Observation::EXITED, 0).ok());
  EXPECT_EQ(Get(third.name()).state(), v1::Experiment::PENDING);
}

TEST_F(ApiTest, ABuildThatIsNotNeededAnyMoreIsFinished) {
  api_->builder().Reset(internal::v1::Environment::MISSING);
  const v1::Experiment e = Create(kInstall);
  EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 0, Observation::ENVIRONMENT_READY).ok());
  const v1::Experiment after = Get(e.name());
  EXPECT_EQ(after.jobs(0).state(), v1::Job::FINISHED);
  EXPECT_EQ(after.jobs(1).state(), v1::Job::PENDING);
}

TEST_F(ApiTest, SetRunsAtMostConcurrencyChildrenInOrder) {
  const v1::Experiment set = Create(kSet);
  EXPECT_EQ(set.type(), v1::Experiment::SET);
  EXPECT_EQ(set.child_count(), 3);
  EXPECT_EQ(set.child_states().at("PENDING"), 2);
  EXPECT_EQ(set.child_states().at("CREATED"), 1);
  const v1::Experiment third = Get(Child(set, 3));
  EXPECT_EQ(third.parameters().at("lr"), "1e-5");
  EXPECT_THAT(third.jobs(0).commands(), ElementsAre("python train.py --lr 1e-5"));
  EXPECT_EQ(third.jobs(0).environment().at("LR"), "1e-5");
  api_->RunToEnd(TrainJob(Child(set, 2)), 1);
  EXPECT_EQ(Get(Child(set, 3)).state(), v1::Experiment::PENDING) << "released by the end of the second";
  api_->RunToEnd(TrainJob(Child(set, 1)));
  api_->RunToEnd(TrainJob(Child(set, 3)));
  const v1::Experiment done = Get(set.name());
  EXPECT_EQ(done.state(), v1::Experiment::FAILED);
  EXPECT_EQ(done.message(),
            absl::StrCat("1 of 3 experiments failed: ", set.name().substr(set.name().rfind('/') + 1), ".2"));
}

TEST_F(ApiTest, KillingASetKillsWhatWaitsAtOnceAndTheRestWhenItHasStopped) {
  const v1::Experiment set = Create(kSet);
  const std::string running = TrainJob(Child(set, 1));
  EXPECT_EQ(api_->Place(running)->attempt(), 1);
  const auto killed = api_->Kill(key_, set.name());
  ASSERT_TRUE(killed.ok()) << killed.status();
  EXPECT_EQ(killed->desired_state(), v1::Experiment::DESIRED_KILLED);
  EXPECT_EQ(killed->state(), v1::Experiment::STARTING);
  EXPECT_EQ(killed->child_states().at("KILLED"), 2);
  EXPECT_TRUE(api_->Kill(key_, set.name()).ok()) << "again";
  EXPECT_TRUE(api_->Report(running, 1, Observation::STOPPED).ok());
  EXPECT_EQ(Get(set.name()).state(), v1::Experiment::KILLED);
  EXPECT_EQ(Get(Child(set, 1)).jobs(0).message(), "killed by " + user_);
  EXPECT_TRUE(api_->Kill(key_, set.name()).ok()) << "of a killed one";
}

TEST_F(ApiTest, KillingOneChildLetsTheSetGoOn) {
  const v1::Experiment set = Create(kSet);
  EXPECT_TRUE(api_->Kill(key_, Child(set, 1)).ok());
  EXPECT_EQ(Get(Child(set, 1)).state(), v1::Experiment::KILLED);
  EXPECT_EQ(Get(Child(set, 3)).state(), v1::Experiment::PENDING);
  api_->RunToEnd(TrainJob(Child(set, 2)));
  api_->RunToEnd(TrainJob(Child(set, 3)));
  EXPECT_EQ(Get(set.name()).state(), v1::Experiment::FINISHED);
  EXPECT_TRUE(HasReason(api_->Kill(key_, set.name()).status(), Reason::kExperimentDone));
}

TEST_F(ApiTest, AnExitBeforeTheSignalWins) {
  const v1::Experiment e = Create(kSingle);
  EXPECT_EQ(api_->Place(e.jobs(0).uid())->attempt(), 1);
  EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 1, Observation::STARTED).ok());
  EXPECT_TRUE(api_->Kill(key_, e.name()).ok());
  EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 1, Observation::EXITED, 0).ok());
  EXPECT_EQ(Get(e.name()).state(), v1::Experiment::FINISHED);
}

TEST_F(ApiTest, KillIsIdempotentByRequestIdAlsoWhenTheJobEndedByItself) {
  const v1::Experiment e = Create(kSingle);
  EXPECT_EQ(api_->Place(e.jobs(0).uid())->attempt(), 1);
  EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 1, Observation::STARTED).ok());
  const std::string id = NewUuid();
  EXPECT_TRUE(api_->Kill(key_, e.name(), id).ok());
  EXPECT_TRUE(api_->Report(e.jobs(0).uid(), 1, Observation::EXITED, 0).ok());
  const auto replayed = api_->Kill(key_, e.name(), id);
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  EXPECT_EQ(replayed->state(), v1::Experiment::FINISHED);
  EXPECT_TRUE(HasReason(api_->Kill(key_, e.name(), NewUuid()).status(), Reason::kExperimentDone));
  EXPECT_TRUE(HasReason(api_->Kill(key_, Create(kSingle).name(), id).status(), Reason::kRequestIdReused));
}

TEST_F(ApiTest, CreateIsIdempotentByRequestId) {
  const std::string id = NewUuid();
  std::set<std::string> names;
  std::mutex mu;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        const auto made = api_->Create(key_, user_, kSingle, id);
        const std::lock_guard lock(mu);
        names.insert(made.ok() ? made->name() : std::string(made.status().message()));
      });
  }
  EXPECT_THAT(names, ElementsAre(absl::StrCat("users/", user_, "/experiments/1")));
  EXPECT_TRUE(HasReason(api_->Create(key_, user_, kSet, id).status(), Reason::kRequestIdReused));
  EXPECT_EQ(Create(kSingle).name(), absl::StrCat("users/", user_, "/experiments/2")) << "no number was used up";
}

TEST_F(ApiTest, BadInputCreatesNothing) {
  const auto reason = [&](const std::string& yaml) { return ReasonName(api_->Create(key_, user_, yaml).status()); };
  EXPECT_EQ(reason("project: digits\ntrain: {image: x, resources: {cpu: 1}, run: a}\n"), "INVALID_SPEC");
  EXPECT_EQ(reason("project: other\ntrain: {image: x, resources: {}, run: a}\n"), "INVALID_ARGUMENT");
  EXPECT_EQ(reason("project: digits\ntrain: {resources: {}, run: a, framework: tensorflow, tensorflow: {distributed: "
                   "{ps: 1}}}\n"),
            "UNSUPPORTED");
  EXPECT_EQ(Create(kSingle).name(), absl::StrCat("users/", user_, "/experiments/1"));
}

absl::Status ReportAccuracy(ApiFixture& api, const std::string& token, double accuracy, int sequence) {
  const auto stub = v1::JobService::NewStub(api.UserChannel());
  v1::ReportResultsRequest request;
  (*request.mutable_results()->mutable_fields())["accuracy"].set_number_value(accuracy);
  request.set_sequence(sequence);
  return rpc::Invoke<v1::ReportResultsResponse>([&](auto* c, auto* r) { return stub->ReportResults(c, request, r); },
                                                {.credential = token})
      .status();
}

TEST_F(ApiTest, ResultsComeByTokenOfTheAttempt) {
  const v1::Experiment e = Create(kSingle);
  const auto placed = api_->Place(e.jobs(0).uid());
  const auto stub = v1::JobService::NewStub(api_->UserChannel());
  EXPECT_TRUE(ReportAccuracy(*api_, placed->token(), 0.5, 1).ok());
  EXPECT_TRUE(ReportAccuracy(*api_, placed->token(), 0.9, 2).ok());
  EXPECT_TRUE(ReportAccuracy(*api_, placed->token(), 0.1, 1).ok()) << "a late repetition";
  EXPECT_EQ(Get(e.name()).result().fields().at("accuracy").number_value(), 0.9);
  EXPECT_EQ(ReportAccuracy(*api_, key_, 1, 3).code(), absl::StatusCode::kUnauthenticated) << "a user is no job";
  v1::ReportResultsRequest zero;
  (*zero.mutable_results()->mutable_fields())["note"].set_string_value(std::string("a\0b", 3));
  zero.set_sequence(3);
  EXPECT_EQ(rpc::Invoke<v1::ReportResultsResponse>([&](auto* c, auto* r) { return stub->ReportResults(c, zero, r); },
                                                   {.credential = placed->token()})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument)
      << "jsonb cannot hold U+0000";
  std::string forged = placed->token();
  forged.back() = forged.back() == '0' ? '1' : '0';
  EXPECT_EQ(ReportAccuracy(*api_, forged, 1, 3).code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(ApiTest, ResultsStandOnceTheAttemptAndItsLogHaveEnded) {
  const v1::Experiment e = Create(kSingle);
  const std::string uid = e.jobs(0).uid();
  const auto placed = api_->Place(uid);
  ASSERT_TRUE(api_->Report(uid, 1, internal::v1::Observation::STARTED).ok());
  ASSERT_TRUE(api_->Report(uid, 1, internal::v1::Observation::EXITED).ok());
  EXPECT_TRUE(ReportAccuracy(*api_, placed->token(), 0.5, 1).ok())
      << "its node may have been cut off when it was reported";
  api_->CompleteLog(uid);
  EXPECT_EQ(ReportAccuracy(*api_, placed->token(), 0.9, 2).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(ReportAccuracy(*api_, placed->token(), 0.5, 1).ok()) << "a repetition";
  EXPECT_EQ(Get(e.name()).result().fields().at("accuracy").number_value(), 0.5);
}

TEST_F(ApiTest, TenThousandChildrenAllOrNothing) {
  std::string yaml =
      "project: digits\ntrain:\n  image: x\n  resources: {}\n  parameters:\n    a: {range: {min: 1, max: 100, step: "
      "1}}\n"
      "    b: {range: {min: 1, max: 100, step: 1}}\n  run: echo {{a}} {{b}}\n";
  const v1::Experiment set = Create(yaml);
  EXPECT_EQ(set.child_count(), 10'000);
  EXPECT_EQ(set.child_states().at("CREATED"), 9'999);
  EXPECT_THAT(Get(Child(set, 10'000)).jobs(0).commands(), ElementsAre("echo 100 100"));
  EXPECT_TRUE(api_->Kill(key_, set.name()).ok());
  EXPECT_EQ(Get(set.name()).state(), v1::Experiment::KILLED);
}

TEST_F(ApiTest, ABurstOfSubmitsLosesAndDoublesNothing) {
  constexpr int kClients = 16, kEach = 63;
  std::mutex mu;
  std::set<std::string> uids;
  int refused = 0;
  {
    std::vector<std::jthread> clients;
    for (int c = 0; c < kClients; ++c)
      clients.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) {
          const std::string id = NewUuid();
          const auto first = api_->Create(key_, user_, kSingle, id);
          const auto replay = i % 4 == 0 ? api_->Create(key_, user_, kSingle, id) : first;
          const std::lock_guard lock(mu);
          if (first.ok() && replay.ok()) {
            EXPECT_EQ(first->uid(), replay->uid());
            EXPECT_TRUE(uids.insert(first->uid()).second);
          } else {
            ++refused;
          }
        }
      });
  }
  pqxx::connection db(api_->database());
  pqxx::work tx(db);
  const int stored =
      tx.exec_params1("SELECT count(*) FROM experiments e JOIN users u ON u.uid = e.user_uid WHERE u.name = $1",
                      user_)[0]
          .as<int>();
  EXPECT_EQ(static_cast<int>(uids.size()), kClients * kEach - refused);
  EXPECT_EQ(stored, kClients * kEach) << "with a database that is there nothing is refused";
  EXPECT_EQ(refused, 0);
}

TEST_F(ApiTest, EveryChangeIsAuditedOnceInItsTransaction) {
  pqxx::connection db(api_->database());
  const auto rows = [&] {
    pqxx::work tx(db);
    return tx.exec_params1("SELECT count(*) FROM audit WHERE actor = $1", user_)[0].as<int>();
  };
  const int before = rows();
  const v1::Experiment e = Create(kSingle);
  EXPECT_EQ(rows(), before + 1);
  EXPECT_TRUE(api_->Kill(key_, e.name()).ok());
  EXPECT_TRUE(api_->Kill(key_, e.name()).ok());
  EXPECT_EQ(rows(), before + 2) << "the second kill changed nothing";
  EXPECT_FALSE(api_->Create(key_, user_, "nonsense").ok());
  EXPECT_EQ(rows(), before + 2);
}

TEST_F(ApiTest, ADatabaseCrashIsSurvived) {
  const v1::Experiment e = Create(kSingle);
  api_->postgres().Crash();
  EXPECT_EQ(Get(e.name()).state(), v1::Experiment::PENDING);
  api_->RunToEnd(e.jobs(0).uid());
  EXPECT_EQ(Get(e.name()).state(), v1::Experiment::FINISHED);
}

}  // namespace
}  // namespace riseml::api
