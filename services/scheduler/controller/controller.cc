#include "services/scheduler/controller/controller.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/rpc/proto_time.h"
#include "services/scheduler/controller/snapshot_of.h"
#include "services/scheduler/controller/step.h"

namespace riseml::scheduler {
namespace {

using internal::v1::Environment;
using internal::v1::LiveAttempt;
using internal::v1::Observation;

constexpr absl::Duration kBuildPoll = absl::Seconds(10);

Observation MakeObservation(const std::string& uid, int attempt, Observation::Event event) {
  Observation observation;
  observation.set_job_uid(uid);
  observation.set_attempt(attempt);
  observation.set_event(event);
  return observation;
}

Observation StartOf(const internal::v1::AttemptStatus& status) {
  Observation observation = MakeObservation(status.job_uid(), status.attempt(), Observation::STARTED);
  if (status.has_start_time()) *observation.mutable_time() = status.start_time();
  return observation;
}

Observation EndObservation(const internal::v1::AttemptStatus& status) {
  Observation observation = MakeObservation(status.job_uid(), status.attempt(), status.end());
  observation.set_reason(status.reason());
  observation.set_message(status.message());
  if (status.has_exit_code()) observation.set_exit_code(status.exit_code());
  observation.set_exit_class(status.exit_class());
  if (status.has_end_time()) *observation.mutable_time() = status.end_time();
  return observation;
}

}  // namespace

Controller::Controller(ControllerOptions options, Ports ports)
    : options_(std::move(options)),
      ports_(ports),
      cache_({ports.environments, ports.builder_executor, ports.answers, ports.clock}) {}

absl::Time Controller::Pass() {
  next_ = absl::InfiniteFuture();
  if (!Lead()) return next_;
  TakeEvents();
  if (!state_.work_synced()) return next_;
  TakeNodeCalls();
  state_.FireTimers(Now());
  SyncDirty();
  if (!Report() || !Place()) return next_;
  SyncDirty();  // starts what was placed
  if (!Report() || !CommitEvictions() || !CommitWaits() || !ReportNodes()) return next_;
  if (state_.has_dirty()) WakeAt(Now());
  WakeAt(state_.NextTimer());
  WakeAt(NextSilence(state_, Now(), options_.node_silence_limit));
  return next_;
}

void Controller::TakeEvents() {
  while (const auto batch = ports_.api.TakeWork()) state_.Apply(*batch);
  state_.Apply(ports_.cluster.Read(state_.cluster_version()));
  for (const std::string& uid : cache_.TakeAnswered()) state_.MarkDirty(uid);
  ShareFailures();
  if (builds_seen_ != state_.builds_ended()) {
    builds_seen_ = state_.builds_ended();
    cache_.Clear();
    for (const auto& [uid, job] : state_.jobs()) {
      if (job.blocked_by.empty()) continue;
      state_.Find(uid)->retry_at = Now();
      state_.MarkDirty(uid);
    }
  }
  std::vector<engine::Node> nodes = EngineNodes(PresentNodes(state_, Now(), options_.node_silence_limit));
  if (nodes == engine_nodes_) return;
  engine_nodes_ = std::move(nodes);
  plan_needed_ = true;
}

void Controller::SyncDirty() {
  for (const std::string& uid : state_.TakeDirty()) Sync(uid);
}

void Controller::Sync(const std::string& uid) {
  Job* const job = state_.Find(uid);
  if (job == nullptr) return;
  state_.NoteLive(uid);
  plan_needed_ = true;
  job->candidate = false;
  if (!job->IsConfirmed()) {
    if (Now() >= job->confirm_by) {  // api has accepted a fact and does not show it: tell it again
      job->started_reported = job->end_reported = 0;
      job->settled = false;
    } else {
      state_.Later(uid, job->confirm_by);
    }
  }
  SyncStrayAttempts(uid, *job);
  if (const LiveAttempt* live = job->Live()) {
    job->left_behind_since = absl::InfiniteFuture();
    SyncAttempt(uid, *job, *live);
  } else {
    SyncWaiting(uid, *job);
  }
  state_.DropIfDone(uid);
}

// Attempts on nodes that api does not hold for live: their end is recorded or was never wanted.
void Controller::SyncStrayAttempts(const std::string& uid, Job& job) {
  for (const auto& [number, attempt] : job.on_nodes) {
    const LiveAttempt* const live = job.Live();
    if (live != nullptr && live->number() == number) continue;
    if (!job.is_terminal() && job.work.has_attempt() && job.work.attempt().number() == number)
      continue;  // not confirmed
    if (job.committed && job.committed->number() == number && job.end_reported < number) continue;
    const bool ended = attempt.status.phase() == internal::v1::AttemptStatus::ENDED;
    const AttemptKey key = attempt.key();
    const std::string node = attempt.node;
    if (ended) {
      CallNode(uid, job, number, Call::kForget,
               [node, key, epoch = epoch_](Cluster& cluster) { return cluster.Forget(node, {key}, epoch); });
    } else {
      CallNode(uid, job, number, Call::kStop,
               [node, key, epoch = epoch_](Cluster& cluster) { return cluster.Stop(node, key, epoch); });
    }
  }
}

void Controller::SyncAttempt(const std::string& uid, Job& job, const LiveAttempt& live) {
  const int number = live.number();
  if (job.start_failed && job.start_failed->first == number) {
    Observation failed = MakeObservation(uid, number, Observation::START_FAILED);
    const std::string reason = ReasonName(job.start_failed->second);
    failed.set_reason(reason.empty() ? "START_FAILED" : reason);
    failed.set_message(std::string(job.start_failed->second.message()));
    failed.set_exit_class(Observation::INFRASTRUCTURE);
    return Observe(job, std::move(failed));
  }
  const Recorded recorded = job.RecordedState(live);
  switch (NextStep(recorded, state_.View(job, live), job.work.kill() || live.evicted())) {
    case Step::kNothing:
      return;
    case Step::kStart:
      if (IsGangCommitted(job)) Start(uid, job, live);
      return;
    case Step::kStop: {
      const AttemptKey key{uid, number};
      const std::string node = live.node();
      return CallNode(uid, job, number, Call::kStop,
                      [node, key, epoch = epoch_](Cluster& cluster) { return cluster.Stop(node, key, epoch); });
    }
    case Step::kReportStarted:
      return Observe(job, StartOf(job.on_nodes.at(number).status));
    case Step::kReportEnd: {
      const internal::v1::AttemptStatus& status = job.on_nodes.at(number).status;
      if (job.observed) return;
      if (recorded == Recorded::kStarting && status.has_start_time()) {
        Observe(job, StartOf(status));
        job.observed = false;  // both in one go
      }
      return Observe(job, EndObservation(status));
    }
    case Step::kReportLost: {
      Observation lost = MakeObservation(uid, number, Observation::LOST);
      lost.set_reason("NODE_LOST");
      lost.set_message(absl::StrCat("node ", live.node(), " does not know the attempt any more"));
      lost.set_exit_class(Observation::INFRASTRUCTURE);
      return Observe(job, std::move(lost));
    }
  }
}

// All members have an attempt or are over: addresses are known, nobody starts alone.
bool Controller::IsGangCommitted(const Job& job) const {
  return std::ranges::all_of(state_.Gang(job.work.gang()), [&](const std::string& uid) {
    const Job& member = state_.jobs().at(uid);
    return member.is_terminal() || member.Live() != nullptr;
  });
}

void Controller::SyncWaiting(const std::string& uid, Job& job) {
  if (job.work.state() != v1::Job::PENDING || job.work.kill() || job.settled) return;
  ReleaseGang(uid, job);
  if (job.work.has_not_before() && Now() < FromProtoTime(job.work.not_before())) return WaitForRetry(uid, job);
  if (Now() < job.retry_at) return state_.Later(uid, job.retry_at);
  if (job.is_build()) return SyncBuild(uid, job);
  job.candidate = true;
}

// A build that failed fails for all that wait for the same environment: it would fail for each of them.
void Controller::ShareFailures() {
  for (const State::FailedBuild& failed : state_.TakeFailedBuilds()) {
    for (const auto& [uid, job] : state_.jobs()) {
      if (!job.is_build() || job.environment_key != failed.environment_key || job.Live() != nullptr) continue;
      if (job.work.state() != v1::Job::PENDING || job.work.kill() || job.settled) continue;
      const auto name = ParseJobName(failed.job);
      Observation observation = MakeObservation(uid, 0, Observation::IMPOSSIBLE);
      observation.set_reason("BUILD_FAILED");
      observation.set_message(absl::StrCat(failed.message, " (in ", name.ok() ? ShortId(*name) : failed.job,
                                           ", which built the same environment)"));
      Observe(*state_.Find(uid), std::move(observation));
    }
  }
}

// A build is placed when its environment is missing and nobody else makes it.
void Controller::SyncBuild(const std::string& uid, Job& job) {
  const auto answer = cache_.Resolve(uid, job.work.template_());
  if (!answer) return;
  const absl::StatusOr<Environment>& environment = *answer;
  if (!environment.ok()) return WaitForBuilder(uid, job, environment.status());
  if (environment->state() != Environment::MISSING) {
    Observation ready = MakeObservation(uid, 0, Observation::ENVIRONMENT_READY);
    ready.set_reason("ENVIRONMENT_READY");
    ready.set_message(job.blocked_by.empty() ? "the environment exists already"
                                             : absl::StrCat("the environment was built by ", job.blocked_by));
    return Observe(job, std::move(ready));
  }
  job.environment_key = environment->key();
  if (const std::string user = UserOf(environment->key(), uid); !user.empty())
    return WaitForEnvironment(uid, job, user);
  job.candidate = true;
  state_.Later(uid, Now() + kBuildPoll);  // it may appear by other means
}

}  // namespace riseml::scheduler
