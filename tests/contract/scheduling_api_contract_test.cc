// Tests the promises of api that the scheduler relies on: of the fake that its own tests use, and of api over TLS on
// loopback with a PostgreSQL of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/id.h"
#include "services/common/base/mutex.h"
#include "services/common/base/status.h"
#include "tests/contract/scheduling_subjects.h"

namespace riseml::scheduler {
namespace {

using internal::v1::CommitPlanRequest;
using internal::v1::Observation;
using internal::v1::PlacementResult;
using internal::v1::Work;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr absl::Duration kLease = absl::Seconds(60);

class SchedulingApi : public testing::TestWithParam<bool> {
 protected:
  static void SetUpTestSuite() { fixture_ = new api::ApiFixture(); }
  static void TearDownTestSuite() {
    delete fixture_;
    fixture_ = nullptr;
  }
  void SetUp() override {
    if (GetParam())
      subject_ = std::make_unique<RealSubject>(*fixture_);
    else
      subject_ = std::make_unique<FakeSubject>();
    api().SetWake([this] {
      {
        MutexLock lock(mu_);
        ++rings_;
      }
      rung_.notify_all();
    });
    epoch_ = *api().AcquireLeadership("here", kLease, 0);
    api().RestartWatch();
  }
  void TearDown() override { subject_.reset(); }
  Api& api() { return subject_->api(); }

  // The job as soon as `holds` of it, as the watch shows it.
  Work Await(const std::string& uid, const std::function<bool(const Work&)>& holds) {
    while (true) {
      int seen;
      {
        MutexLock lock(mu_);
        seen = rings_;
      }
      while (const auto batch = api().TakeWork()) {
        synced_ |= batch->synced;
        for (const Work& work : batch->work) known_[work.job_uid()] = work;
      }
      if (known_.contains(uid) && holds(known_.at(uid))) return known_.at(uid);
      MutexLock lock(mu_);
      if (!rung_.wait_for(mu_, std::chrono::seconds(20),
                          [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return rings_ != seen; })) {
        ADD_FAILURE() << "the watch does not show it: " << known_[uid].ShortDebugString();
        return known_[uid];
      }
    }
  }
  Work AwaitState(const std::string& uid, v1::Job::State state) {
    return Await(uid, [&](const Work& work) { return work.state() == state; });
  }

  CommitPlanRequest Plan(const std::vector<std::string>& uids) {
    CommitPlanRequest request;
    request.set_epoch(epoch_);
    internal::v1::PlacementGroup& group = *request.add_groups();
    for (const std::string& uid : uids) {
      group.add_placements()->set_job_uid(uid);
      group.mutable_placements()->rbegin()->set_node("local");
    }
    return request;
  }
  PlacementResult Place(const std::string& uid, const std::string& environment_key = "") {
    CommitPlanRequest request = Plan({uid});
    request.mutable_groups(0)->mutable_placements(0)->set_environment_key(environment_key);
    const auto response = api().CommitPlan(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response->groups(0).results(0);
  }
  Observation Fact(const std::string& uid, int attempt, Observation::Event event, int exit_code = 0,
                   v1::Attempt::ExitClass exit_class = v1::Attempt::EXIT_CLASS_UNSPECIFIED) {
    Observation fact;
    fact.set_job_uid(uid);
    fact.set_attempt(attempt);
    fact.set_event(event);
    fact.set_reason("TESTED");
    fact.set_exit_class(exit_class);
    if (event == Observation::EXITED) fact.set_exit_code(exit_code);
    return fact;
  }
  void Report(const Observation& fact) {
    internal::v1::ReportObservationsRequest request;
    request.set_epoch(epoch_);
    *request.add_observations() = fact;
    const absl::Status status = api().ReportObservations(request);
    ASSERT_TRUE(status.ok()) << status;
  }
  // A new job whose first attempt runs.
  std::string NewRunning() {
    const std::string uid = subject_->NewJob();
    EXPECT_EQ(Place(uid).attempt(), 1);
    Report(Fact(uid, 1, Observation::STARTED));
    AwaitState(uid, v1::Job::RUNNING);
    return uid;
  }

  static inline api::ApiFixture* fixture_ = nullptr;
  Mutex mu_;
  std::condition_variable_any rung_;
  int rings_ ABSL_GUARDED_BY(mu_) = 0;
  std::unique_ptr<Subject> subject_;
  std::int64_t epoch_ = 0;
  std::map<std::string, Work> known_;
  bool synced_ = false;
};

TEST_P(SchedulingApi, HolderKeepsItsEpochAndOthersAreRefused) {
  EXPECT_EQ(*api().AcquireLeadership("here", kLease, epoch_), epoch_);
  EXPECT_TRUE(HasReason(api().AcquireLeadership("there", kLease, 0).status(), Reason::kNotLeader));
  EXPECT_GT(*api().AcquireLeadership("here", kLease, 0), epoch_) << "a new process of the same holder";
}

TEST_P(SchedulingApi, WritesOfAnOldEpochChangeNothing) {
  const std::string uid = subject_->NewJob();
  const CommitPlanRequest plan = Plan({uid});
  internal::v1::ReportObservationsRequest facts;
  facts.set_epoch(epoch_);
  *facts.add_observations() = Fact(uid, 0, Observation::IMPOSSIBLE);
  internal::v1::ReportNodesRequest nodes;
  nodes.set_epoch(epoch_);
  epoch_ = *api().AcquireLeadership("here", kLease, 0);
  EXPECT_TRUE(HasReason(api().CommitPlan(plan).status(), Reason::kNotLeader));
  EXPECT_TRUE(HasReason(api().ReportObservations(facts), Reason::kNotLeader));
  EXPECT_TRUE(HasReason(api().ReportNodes(nodes), Reason::kNotLeader));
  EXPECT_EQ(Place(uid).attempt(), 1) << "it still waits";
}

TEST_P(SchedulingApi, WatchListsWhatThereIsAndThenShowsChanges) {
  const std::string before = subject_->NewJob();
  api().RestartWatch();
  AwaitState(before, v1::Job::PENDING);
  const std::string after = subject_->NewJob();
  AwaitState(after, v1::Job::PENDING);
  EXPECT_TRUE(synced_);
  ASSERT_EQ(Place(after).attempt(), 1);
  const Work starting = AwaitState(after, v1::Job::STARTING);
  EXPECT_EQ(starting.attempt().number(), 1);
  EXPECT_EQ(starting.attempt().node(), "local");
  EXPECT_EQ(starting.attempt().state(), v1::Attempt::STARTING);
}

TEST_P(SchedulingApi, PlacedJobIsNotPlacedAgain) {
  const std::string uid = subject_->NewJob();
  const PlacementResult placed = Place(uid);
  EXPECT_EQ(placed.attempt(), 1);
  EXPECT_EQ(placed.refusal(), PlacementResult::REFUSAL_UNSPECIFIED);
  EXPECT_THAT(placed.token(), Not(IsEmpty()));
  const PlacementResult refused = Place(uid);
  EXPECT_EQ(refused.attempt(), 0);
  EXPECT_EQ(refused.refusal(), PlacementResult::NOT_PENDING);
  EXPECT_THAT(refused.message(), Not(IsEmpty()));
}

TEST_P(SchedulingApi, GroupIsCommittedWholeOrNotAtAll) {
  const std::string a = subject_->NewJob(), b = subject_->NewJob();
  subject_->Kill(b);
  const auto refused = api().CommitPlan(Plan({a, b}));
  ASSERT_TRUE(refused.ok()) << refused.status();
  ASSERT_EQ(refused->groups(0).results_size(), 2);
  EXPECT_EQ(refused->groups(0).results(0).refusal(), PlacementResult::GROUP_REFUSED);
  EXPECT_EQ(refused->groups(0).results(1).refusal(), PlacementResult::NOT_PENDING);
  const std::string c = subject_->NewJob();
  const auto placed = api().CommitPlan(Plan({a, c}));
  ASSERT_TRUE(placed.ok()) << placed.status();
  for (const PlacementResult& result : placed->groups(0).results()) EXPECT_EQ(result.attempt(), 1);
}

TEST_P(SchedulingApi, MalformedPlansAreRefused) {
  CommitPlanRequest empty;
  empty.set_epoch(epoch_);
  empty.add_groups();
  EXPECT_EQ(api().CommitPlan(empty).status().code(), absl::StatusCode::kInvalidArgument);
  const std::string uid = subject_->NewJob();
  EXPECT_EQ(api().CommitPlan(Plan({uid, uid})).status().code(), absl::StatusCode::kInvalidArgument);
  CommitPlanRequest long_one;
  long_one.set_epoch(epoch_);
  for (int i = 0; i < 1001; ++i) long_one.add_waits()->set_job_uid(uid);
  EXPECT_EQ(api().CommitPlan(long_one).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Place(uid).attempt(), 1);
}

TEST_P(SchedulingApi, TemplatesAreGivenJobByJob) {
  EXPECT_GT(api().GetTemplate(subject_->NewJob())->commands_size(), 0);
  EXPECT_TRUE(HasReason(api().GetTemplate(NewUuid()).status(), Reason::kNotFound));
}

TEST_P(SchedulingApi, JobThatHasEndedComesWithoutWhatItNeeds) {
  const std::string uid = subject_->NewBuild();
  EXPECT_GT(AwaitState(uid, v1::Job::PENDING).environment().install_size(), 0);
  subject_->Kill(uid);
  EXPECT_FALSE(AwaitState(uid, v1::Job::KILLED).has_environment());
}

TEST_P(SchedulingApi, EndOfAnAttemptEndsItsJobOrNot) {
  using E = Observation;
  using A = v1::Attempt;
  struct Case {
    Observation end;
    v1::Job::State state;
  };
  const auto fact = [this](E::Event event, int code = 0, A::ExitClass c = A::EXIT_CLASS_UNSPECIFIED) {
    return Fact("", 1, event, code, c);
  };
  for (const Case& c : std::vector<Case>{{fact(E::EXITED, 0, A::SUCCESS), v1::Job::FINISHED},
                                         {fact(E::EXITED, 0, A::USER_ERROR), v1::Job::FAILED},
                                         {fact(E::EXITED, 3, A::USER_ERROR), v1::Job::FAILED},
                                         {fact(E::STOPPED), v1::Job::FAILED},  // nobody has asked for it
                                         {fact(E::LOST, 0, A::INFRASTRUCTURE), v1::Job::FAILED},
                                         {fact(E::START_FAILED, 0, A::INFRASTRUCTURE), v1::Job::FAILED},
                                         {fact(E::REJECTED), v1::Job::PENDING}}) {
    const std::string uid = subject_->NewJob();
    ASSERT_EQ(Place(uid).attempt(), 1);
    AwaitState(uid, v1::Job::STARTING);
    if (c.end.event() == E::EXITED) Report(Fact(uid, 1, E::STARTED));
    Observation end = c.end;
    end.set_job_uid(uid);
    Report(end);
    const Work work = AwaitState(uid, c.state);
    EXPECT_FALSE(work.has_attempt()) << end.ShortDebugString();
    Report(end);  // told again, it changes nothing
    if (c.state == v1::Job::PENDING) EXPECT_EQ(Place(uid).attempt(), 2);
  }
}

TEST_P(SchedulingApi, FactsAboutOtherAttemptsChangeNothing) {
  const std::string uid = NewRunning();
  Report(Fact(uid, 2, Observation::EXITED, 1, v1::Attempt::USER_ERROR));
  Report(Fact("00000000-0000-4000-8000-000000000000", 1, Observation::EXITED, 1, v1::Attempt::USER_ERROR));
  Report(Fact(uid, 1, Observation::EXITED, 0, v1::Attempt::SUCCESS));
  AwaitState(uid, v1::Job::FINISHED);
}

TEST_P(SchedulingApi, TooManyFactsAreRefused) {
  internal::v1::ReportObservationsRequest request;
  request.set_epoch(epoch_);
  for (int i = 0; i < 501; ++i) *request.add_observations() = Fact("x", 1, Observation::STARTED);
  EXPECT_EQ(api().ReportObservations(request).code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(SchedulingApi, EvictedAttemptThatStopsWaitsAgain) {
  const std::string uid = NewRunning();
  CommitPlanRequest request;
  request.set_epoch(epoch_);
  internal::v1::Eviction& eviction = *request.add_evictions();
  eviction.set_job_uid(uid);
  eviction.set_attempt(1);
  eviction.set_reason("GANG_INCOMPLETE");
  eviction.set_message("tested");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(api().CommitPlan(request).ok());
  Await(uid, [](const Work& work) { return work.attempt().evicted(); });
  Report(Fact(uid, 1, Observation::STOPPED));
  AwaitState(uid, v1::Job::PENDING);
  EXPECT_EQ(Place(uid).attempt(), 2);
}

TEST_P(SchedulingApi, AFactThatCannotBeStoredHoldsUpNoOther) {
  const std::string poisoned = NewRunning(), other = NewRunning();
  internal::v1::ReportObservationsRequest request;
  request.set_epoch(epoch_);
  for (const std::string& uid : {poisoned, other}) *request.add_observations() = Fact(uid, 1, Observation::LOST);
  request.mutable_observations(0)->mutable_time()->set_seconds(-1'000'000'000'000);
  EXPECT_TRUE(api().ReportObservations(request).ok());
  AwaitState(other, v1::Job::FAILED);
  AwaitState(poisoned, v1::Job::FAILED);
}

TEST_P(SchedulingApi, KillEndsAWaitingJobAndIsShownOfARunningOne) {
  const std::string waiting = subject_->NewJob(), running = NewRunning();
  AwaitState(waiting, v1::Job::PENDING);
  subject_->Kill(waiting);
  AwaitState(waiting, v1::Job::KILLED);
  subject_->Kill(running);
  Await(running, [](const Work& work) { return work.kill(); });
  Report(Fact(running, 1, Observation::STOPPED));
  AwaitState(running, v1::Job::KILLED);
}

TEST_P(SchedulingApi, OneBuildOfAnEnvironmentAtATime) {
  const std::string key(64, GetParam() ? 'a' : 'b');
  const std::string first = subject_->NewBuild(), second = subject_->NewBuild();
  ASSERT_EQ(Place(first, key).attempt(), 1);
  const std::string name = AwaitState(first, v1::Job::STARTING).job();
  const PlacementResult busy = Place(second, key);
  EXPECT_EQ(busy.refusal(), PlacementResult::ENVIRONMENT_BUSY);
  EXPECT_EQ(busy.building_job(), name);
  Report(Fact(second, 0, Observation::ENVIRONMENT_READY));
  AwaitState(second, v1::Job::FINISHED);
}

TEST_P(SchedulingApi, ImpossibleJobFails) {
  const std::string uid = subject_->NewJob();
  AwaitState(uid, v1::Job::PENDING);
  Observation impossible = Fact(uid, 0, Observation::IMPOSSIBLE);
  impossible.set_message("no node is as large");
  Report(impossible);
  EXPECT_EQ(AwaitState(uid, v1::Job::FAILED).message(), "no node is as large");
}

TEST_P(SchedulingApi, ReasonForWaitingIsShown) {
  const std::string uid = subject_->NewJob();
  CommitPlanRequest request;
  request.set_epoch(epoch_);
  internal::v1::Wait& wait = *request.add_waits();
  wait.set_job_uid(uid);
  wait.set_reason("NO_CAPACITY");
  wait.set_message("needs 4 CPUs");
  ASSERT_TRUE(api().CommitPlan(request).ok());
  const Work work = Await(uid, [](const Work& w) { return !w.wait_reason().empty(); });
  EXPECT_EQ(work.wait_reason(), "NO_CAPACITY");
  EXPECT_THAT(work.wait_message(), HasSubstr("4 CPUs"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, SchedulingApi, testing::Bool(),
                         [](const auto& info) { return info.param ? "Api" : "Fake"; });

}  // namespace
}  // namespace riseml::scheduler
