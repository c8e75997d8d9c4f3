#include "services/scheduler/controller/reconciler.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/names.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/proto_time.h"
#include "services/scheduler/controller/environment_users.h"
#include "services/scheduler/controller/step.h"

namespace riseml::scheduler {
namespace {

using internal::v1::AttemptStatus;
using internal::v1::Environment;
using internal::v1::LiveAttempt;
using internal::v1::Observation;
using internal::v1::Work;

constexpr absl::Duration kBuildPoll = absl::Seconds(10);
// The watch may show the members of one placement one by one; after this time, a missing member is left behind.
constexpr absl::Duration kGangGrace = absl::Seconds(2);
constexpr absl::Duration kGangPoll = absl::Seconds(1);

Observation StartOf(const AttemptStatus& status) {
  Observation observation = MakeObservation(status.job_uid(), status.attempt(), Observation::STARTED);
  if (status.has_start_time()) *observation.mutable_time() = status.start_time();
  return observation;
}

Observation EndOf(const AttemptStatus& status) {
  Observation observation = MakeObservation(status.job_uid(), status.attempt(), status.end());
  observation.set_reason(status.reason());
  observation.set_message(status.message());
  if (status.has_exit_code()) observation.set_exit_code(status.exit_code());
  observation.set_exit_class(status.exit_class());
  if (status.has_end_time()) *observation.mutable_time() = status.end_time();
  if (status.has_output()) *observation.mutable_output() = status.output();
  return observation;
}

Observation FailedStart(const std::string& uid, int attempt, const absl::Status& status) {
  Observation failed = MakeObservation(uid, attempt, Observation::START_FAILED);
  const std::string reason = ReasonName(status);
  failed.set_reason(reason.empty() ? "START_FAILED" : reason);
  failed.set_message(std::string(status.message()));
  failed.set_exit_class(v1::Attempt::INFRASTRUCTURE);
  return failed;
}

// Returns the request to start an attempt, without the job's template and the addresses of other members.
std::shared_ptr<internal::v1::StartAttemptRequest> StartRequest(const Work& work, const LiveAttempt& live,
                                                                const Environment& environment, std::int64_t epoch) {
  auto request = std::make_shared<internal::v1::StartAttemptRequest>();
  request->set_job_uid(work.job_uid());
  request->set_attempt(live.number());
  request->set_job(work.job());
  request->set_epoch(epoch);
  request->set_role(work.role());
  if (environment.has_directory()) request->set_environment_path(environment.directory().path());
  request->set_environment_key(environment.key());
  *request->mutable_shown_paths() = environment.directory().shown_paths();
  if (environment.state() == Environment::MISSING) *request->mutable_build_steps() = environment.plan().steps();
  *request->mutable_resources() = work.resources();
  *request->mutable_gpu_uuids() = live.gpu_uuids();
  request->set_token(live.token());
  request->set_runtime(environment.has_image() ? v1::Job::CONTAINER : v1::Job::PROCESS);
  request->set_builds_image(environment.has_image() && environment.state() == Environment::MISSING);
  return request;
}

// The template may be long and is therefore fetched only now.
absl::Status FillTemplate(Api& api, internal::v1::StartAttemptRequest* request) {
  RISEML_ASSIGN_OR_RETURN(*request->mutable_template_(), api.GetTemplate(request->job_uid()));
  return absl::OkStatus();
}

// Request for the image of a job; absent if the job needs none.
std::optional<internal::v1::MakeImageRequest> ImageRequestFor(const Work& work, const Environment& environment) {
  if (!environment.has_image() || environment.state() != Environment::READY) return std::nullopt;
  internal::v1::MakeImageRequest request;
  request.set_owner_uid(work.environment().owner_uid());
  request.set_environment_key(environment.key());
  request.set_project_uid(work.environment().project_uid());
  request.set_commit(work.environment().commit());
  return request;
}

absl::Status FillImage(Environments& environments, const std::optional<internal::v1::MakeImageRequest>& image,
                       internal::v1::StartAttemptRequest* request) {
  if (!image) return absl::OkStatus();
  absl::StatusOr<internal::v1::ContainerImage> made = environments.MakeImage(*image);
  // Room on builder's disk may come back, as that for environments.
  if (absl::IsResourceExhausted(made.status())) return absl::UnavailableError(made.status().message());
  if (!made.ok()) return While("make the image of the job", made.status());
  *request->mutable_image() = *std::move(made);
  return absl::OkStatus();
}

}  // namespace

void Reconciler::Sync(const std::string& uid) {
  Job* const job = shared_.jobs.Find(uid);
  if (job == nullptr) return;
  shared_.jobs.NoteLive(uid);
  job->candidate = false;
  job->left_behind = false;
  if (!job->IsConfirmed()) {
    if (shared_.Now() >= job->confirm_by) {  // api accepted a fact and does not show it: report it again
      job->started_reported = job->end_reported = 0;
      job->settled = false;
    } else {
      shared_.jobs.Later(uid, job->confirm_by);
    }
  }
  SyncStrayAttempts(uid, *job);
  if (const LiveAttempt* live = job->Live()) {
    job->left_behind_since = absl::InfiniteFuture();
    SyncAttempt(uid, *job, *live);
  } else {
    SyncWaiting(uid, *job);
  }
  shared_.jobs.DropIfDone(uid);
}

// Handles attempts on nodes that are not live for api: their end is recorded, or they were never wanted.
void Reconciler::SyncStrayAttempts(const std::string& uid, Job& job) {
  for (const auto& [number, attempt] : job.on_nodes) {
    const LiveAttempt* const live = job.Live();
    if (live != nullptr && live->number() == number) continue;
    if (!job.is_terminal() && job.work.has_attempt() && job.work.attempt().number() == number)
      continue;  // not confirmed
    if (job.committed && job.committed->number() == number && job.end_reported < number) continue;
    if (attempt.status.phase() != AttemptStatus::ENDED) {
      Stop(uid, job, number, attempt.node);
      continue;
    }
    // An attempt that was given up as lost has also left output.
    if (attempt.status.has_output() && !job.outputs_told.contains(number)) {
      parts_.observations.Add(job, {EndOf(attempt.status)});
      continue;
    }
    parts_.calls.Make(uid, job, number, Call::kForget,
                      [node = attempt.node, key = attempt.key(), epoch = shared_.epoch](Cluster& cluster) {
                        return cluster.Forget(node, {key}, epoch);
                      });
  }
}

// Returns the state that the node reports, or kGone if the node is lost.
OnNode Reconciler::View(const std::string& uid, const Job& job, const LiveAttempt& live) {
  const OnNode view = shared_.jobs.View(job, live);
  if (view == OnNode::kEnded) return view;
  const absl::Time lost_at = parts_.nodes.LostAt(live.node());
  if (shared_.Now() >= lost_at) return OnNode::kGone;
  if (view == OnNode::kNotHeard) shared_.jobs.Later(uid, lost_at);
  return view;
}

void Reconciler::SyncAttempt(const std::string& uid, Job& job, const LiveAttempt& live) {
  const int number = live.number();
  if (job.start_failed && job.start_failed->first == number)
    return parts_.observations.Add(job, {FailedStart(uid, number, job.start_failed->second)});
  const Recorded recorded = job.RecordedState(live);
  switch (NextStep(recorded, View(uid, job, live), job.work.kill() || live.evicted())) {
    case Step::kNothing:
      return;
    case Step::kStart:
      if (IsGangCommitted(job) && !StillRuns(uid, job)) Start(uid, job, live);
      return;
    case Step::kStop:
      return Stop(uid, job, number, live.node());
    case Step::kReportStarted:
      return parts_.observations.Add(job, {StartOf(job.on_nodes.at(number).status)});
    case Step::kReportEnd: {
      const AttemptStatus& status = job.on_nodes.at(number).status;
      if (recorded == Recorded::kStarting && status.has_start_time())
        return parts_.observations.Add(job, {StartOf(status), EndOf(status)});
      return parts_.observations.Add(job, {EndOf(status)});
    }
    case Step::kReportLost:
      return parts_.observations.Add(job, {LostObservation(uid, live)});
  }
}

Observation Reconciler::LostObservation(const std::string& uid, const LiveAttempt& live) const {
  Observation lost = MakeObservation(uid, live.number(), Observation::LOST);
  lost.set_reason("NODE_LOST");
  lost.set_exit_class(v1::Attempt::INFRASTRUCTURE);
  const auto node = shared_.jobs.nodes().find(live.node());
  if (node == shared_.jobs.nodes().end()) {
    lost.set_message(absl::StrCat("node ", live.node(), " does not exist any more"));
  } else if (node->second.synced && shared_.Now() < parts_.nodes.LostAt(live.node())) {
    lost.set_message(absl::StrCat("node ", live.node(), " does not know the attempt any more"));
  } else {
    lost.set_message(absl::StrCat("node ", live.node(), " has been silent for ",
                                  absl::FormatDuration(shared_.options.node_lost_after)));
  }
  return lost;
}

// True if all members have an attempt or are over: addresses are known, and nobody starts alone.
bool Reconciler::IsGangCommitted(const Job& job) const {
  return std::ranges::all_of(shared_.jobs.Gang(job.work.gang()), [&](const std::string& uid) {
    const Job& member = shared_.jobs.jobs().at(uid);
    return member.is_terminal() || member.Live() != nullptr;
  });
}

// True while an earlier attempt of the job runs on a reachable node, as an output never has two writers. That attempt
// is being stopped, and its end brings the job here again.
bool Reconciler::StillRuns(const std::string& uid, const Job& job) {
  bool runs = false;
  for (const AttemptOnNode* stray : job.Strays()) {
    const absl::Time lost_at = parts_.nodes.LostAt(stray->node);
    if (shared_.Now() >= lost_at) continue;  // the node is lost
    shared_.jobs.Later(uid, lost_at);
    runs = true;
  }
  return runs;
}

// Returns the members with an attempt, by role and index.
GangRequest Reconciler::GangOf(const Job& job) const {
  GangRequest gang{.experiment_uid = job.work.experiment_uid(), .gang = job.work.gang(), .epoch = shared_.epoch};
  for (const std::string& uid : shared_.jobs.Gang(job.work.gang())) {
    const Job& member = shared_.jobs.jobs().at(uid);
    if (const LiveAttempt* attempt = member.Live())
      gang.members.push_back(
          {{uid, attempt->number()}, member.work.role(), member.work.member_index(), attempt->node()});
  }
  std::ranges::sort(gang.members, {}, [](const GangRequest::Member& m) { return std::tuple(m.role, m.index, m.key); });
  return gang;
}

void Reconciler::Start(const std::string& uid, Job& job, const LiveAttempt& live) {
  if (!parts_.calls.May(uid, job, live.number(), Call::kStart)) return;
  const auto answer = shared_.environments.Resolve(uid, job.work);
  if (!answer) return;
  const absl::StatusOr<Environment>& environment = *answer;
  if (!environment.ok()) {
    if (!IsFinal(environment.status()) || absl::IsResourceExhausted(environment.status()))
      return shared_.jobs.Later(uid, shared_.Now() + absl::Seconds(1));
    job.start_failed = {live.number(), While("find the environment", environment.status())};
    return shared_.jobs.MarkDirty(uid);
  }
  if (environment->has_image() && environment->state() == Environment::MISSING && !job.is_build()) {
    job.start_failed = {live.number(), absl::FailedPreconditionError(absl::StrCat(
                                           "the image ", environment->image().reference(),
                                           " is gone; start the experiment again, so that it is built anew"))};
    return shared_.jobs.MarkDirty(uid);
  }
  job.environment_key = environment->key();
  auto request = StartRequest(job.work, live, *environment, shared_.epoch);
  const std::string node = live.node();
  const std::optional<internal::v1::MakeImageRequest> image = ImageRequestFor(job.work, *environment);
  Executor& executor = image ? shared_.ports.image_executor : shared_.ports.node_executor;
  const auto fill = [&ports = shared_.ports, image, request]() -> absl::Status {
    RISEML_RETURN_IF_ERROR(FillImage(ports.environments, image, request.get()));
    return FillTemplate(ports.api, request.get());
  };
  if (job.work.gang().empty()) {
    return parts_.calls.MakeOn(executor, uid, job, live.number(), Call::kStart,
                               [fill, node, request](Cluster& cluster) -> absl::Status {
                                 RISEML_RETURN_IF_ERROR(fill());
                                 return cluster.Start(node, *request);
                               });
  }
  parts_.calls.MakeOn(executor, uid, job, live.number(), Call::kStart,
                      [fill, node, request, gang = GangOf(job)](Cluster& cluster) -> absl::Status {
                        RISEML_RETURN_IF_ERROR(fill());
                        RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> addresses, cluster.PrepareGang(gang));
                        for (std::size_t i = 0; i < gang.members.size(); ++i) {
                          internal::v1::GangMember* const added = request->add_members();
                          added->set_role(gang.members[i].role);
                          added->set_index(gang.members[i].index);
                          added->set_node(gang.members[i].node);
                          added->set_address(addresses[i]);
                        }
                        return cluster.Start(node, *request);
                      });
}

void Reconciler::Stop(const std::string& uid, Job& job, int attempt, const std::string& node) {
  const AttemptId key{uid, attempt};
  parts_.calls.Make(uid, job, attempt, Call::kStop,
                    [node, key, epoch = shared_.epoch](Cluster& cluster) { return cluster.Stop(node, key, epoch); });
}

void Reconciler::SyncWaiting(const std::string& uid, Job& job) {
  if (job.work.state() != v1::Job::PENDING || job.work.kill() || job.settled) return;
  if (job.observed) return;  // the pending report to api decides
  NoteLeftBehind(uid, job);
  if (job.work.has_not_before() && shared_.Now() < FromProtoTime(job.work.not_before()))
    return parts_.waits.ForRetry(uid, job);
  if (shared_.Now() < job.retry_at) return shared_.jobs.Later(uid, job.retry_at);
  if (job.is_build()) return SyncBuild(uid, job);
  job.candidate = true;
}

// All members of a gang start together. A member that its node refused waits again while others hold resources. Once
// that has lasted for a while, the member is left behind.
void Reconciler::NoteLeftBehind(const std::string& uid, Job& job) {
  const bool others_hold = std::ranges::any_of(shared_.jobs.Gang(job.work.gang()), [&](const std::string& member) {
    return member != uid && shared_.jobs.jobs().at(member).Live() != nullptr;
  });
  if (!others_hold) {
    job.left_behind_since = absl::InfiniteFuture();
    return;
  }
  job.left_behind_since = std::min(job.left_behind_since, shared_.Now());
  const absl::Time due = job.left_behind_since + kGangGrace;
  job.left_behind = shared_.Now() >= due;
  // Checks until the others have stopped: an eviction that was not committed is decided again.
  shared_.jobs.Later(uid, std::max(due, shared_.Now() + kGangPoll));
}

// Makes a build placeable when its environment is missing and no other job makes it.
void Reconciler::SyncBuild(const std::string& uid, Job& job) {
  const auto answer = shared_.environments.Resolve(uid, job.work);
  if (!answer) return;
  const absl::StatusOr<Environment>& environment = *answer;
  if (!environment.ok()) return parts_.waits.ForBuilder(uid, job, environment.status());
  if (environment->state() != Environment::MISSING) {
    Observation ready = MakeObservation(uid, 0, Observation::ENVIRONMENT_READY);
    ready.set_reason("ENVIRONMENT_READY");
    ready.set_message(job.blocked_by.empty() ? "the environment exists already"
                                             : absl::StrCat("the environment was built by ", job.blocked_by));
    return parts_.observations.Add(job, {std::move(ready)});
  }
  job.environment_key = environment->key();
  if (const std::string user = UserOf(shared_, environment->key(), uid); !user.empty())
    return parts_.waits.ForEnvironment(uid, job, user);
  job.candidate = true;
  shared_.jobs.Later(uid, shared_.Now() + kBuildPoll);  // it may appear by other means
}

void Reconciler::ShareFailures() {
  for (const JobTable::FailedBuild& failed : shared_.jobs.TakeFailedBuilds()) {
    for (const auto& [uid, job] : shared_.jobs.jobs()) {
      if (!job.is_build() || job.environment_key != failed.environment_key || job.Live() != nullptr) continue;
      if (job.work.state() != v1::Job::PENDING || job.work.kill() || job.settled) continue;
      const auto name = ParseJobName(failed.job);
      parts_.observations.Add(*shared_.jobs.Find(uid),
                              {Impossible(uid, "BUILD_FAILED",
                                          absl::StrCat(failed.message, " (in ", name.ok() ? ShortId(*name) : failed.job,
                                                       ", which built the same environment)"))});
      shared_.jobs.MarkDirty(uid);
    }
  }
}

}  // namespace riseml::scheduler
