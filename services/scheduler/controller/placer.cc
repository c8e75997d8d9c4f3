// Controller: from the engine's plan to committed placements and recorded reasons for waiting.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/rpc/proto_time.h"
#include "services/scheduler/controller/controller.h"
#include "services/scheduler/controller/snapshot_of.h"

namespace riseml::scheduler {
namespace {

using internal::v1::CommitPlanRequest;
using internal::v1::Environment;
using internal::v1::LiveAttempt;

constexpr int kMaxPlacements = 500;
constexpr std::size_t kMaxWaits = 500;     // a call
constexpr std::size_t kMaxWaitCalls = 10;  // a pass
constexpr absl::Duration kNodesGrace = absl::Seconds(2);
constexpr absl::Duration kEnvironmentPoll = absl::Seconds(1);
constexpr absl::Duration kMessageInterval = absl::Seconds(5);

int PlacementsOf(const CommitPlanRequest& request) {
  int count = 0;
  for (const internal::v1::PlacementGroup& group : request.groups()) count += group.placements_size();
  return count;
}

// "14.build" of a resource name; the name itself when it is no job's.
std::string ShortName(const std::string& job) {
  const auto name = ParseJobName(job);
  return name.ok() ? ShortId(*name) : job;
}

}  // namespace

// Nothing is decided, and nothing is said about nodes, before all have been heard; one that is away holds this up for 2
// s.
bool Controller::NodesAreKnown() {
  const absl::Time known_at = led_since_ + std::min(kNodesGrace, options_.node_silence_limit);
  if (Now() >= known_at) return true;
  for (const auto& [name, node] : state_.nodes()) {
    if (node.last_heard != absl::InfinitePast()) continue;
    WakeAt(known_at);
    return false;
  }
  return true;
}

// False when the leadership is lost.
bool Controller::Place() {
  if (!plan_needed_ || !NodesAreKnown()) return true;
  if (Now() < plan_not_before_) {
    WakeAt(plan_not_before_);
    return true;
  }
  plan_needed_ = false;
  const engine::Snapshot snapshot = SnapshotOf(state_, engine_nodes_);
  const engine::Plan plan = engine::MakePlan(snapshot);
  NoteWaits(snapshot, plan);
  return CommitUnits(snapshot, plan);
}

// Commits the bindings, whole gangs together, at most about 500 a call.
bool Controller::CommitUnits(const engine::Snapshot& snapshot, const engine::Plan& plan) {
  std::map<std::string, std::string> claimed;  // environments this plan makes: name of the job by key
  CommitPlanRequest request;
  request.set_epoch(epoch_);
  for (std::size_t i = 0; i < plan.bindings.size();) {
    const std::string& gang = snapshot.pending[plan.bindings[i].job].gang;
    std::vector<const engine::Binding*> unit;
    do {
      unit.push_back(&plan.bindings[i++]);
    } while (!gang.empty() && i < plan.bindings.size() && snapshot.pending[plan.bindings[i].job].gang == gang);
    Prepare(unit, snapshot, claimed, &request);
    if (PlacementsOf(request) < kMaxPlacements && i < plan.bindings.size()) continue;
    if (request.groups_size() > 0 && !Commit(request)) return false;
    request.clear_groups();
  }
  return true;
}

// Adds the placements of a unit; nothing when the environment of a member is not to be had now. While builder is being
// asked, the unit keeps its place in the order; otherwise it steps back, and what it would have taken is free for
// others.
void Controller::Prepare(const std::vector<const engine::Binding*>& unit, const engine::Snapshot& snapshot,
                         std::map<std::string, std::string>& claimed, CommitPlanRequest* request) {
  std::vector<internal::v1::Placement> placements;
  for (const engine::Binding* binding : unit) {
    const std::string& uid = snapshot.pending[binding->job].id;
    Job& job = *state_.Find(uid);
    const auto answer = cache_.Resolve(uid, job.work.template_());
    if (!answer) return;
    const absl::StatusOr<Environment>& environment = *answer;
    if (!environment.ok()) {
      WaitForBuilder(uid, job, environment.status());
      return PlanAgain();
    }
    internal::v1::Placement& placement = placements.emplace_back();
    placement.set_job_uid(uid);
    placement.set_node(binding->node);
    for (const std::string& gpu : binding->gpu_uuids) placement.add_gpu_uuids(gpu);
    if (!job.is_build() && environment->state() != Environment::NOT_NEEDED) {
      placement.set_uses_environment(environment->key());
      placement.set_makes_environment(environment->state() == Environment::MISSING);
    }
    if (environment->state() != Environment::MISSING) continue;
    // For a training job it has vanished since its build; the attempt makes it again before its commands run.
    const auto [claim, is_first] = claimed.emplace(environment->key(), job.work.job());
    const std::string user = is_first ? UserOf(environment->key(), uid) : claim->second;
    if (!user.empty() && user != job.work.job()) {
      WaitForEnvironment(uid, job, user);
      return PlanAgain();
    }
    if (job.is_build()) placement.set_environment_key(environment->key());
  }
  internal::v1::PlacementGroup* const group = request->add_groups();
  for (internal::v1::Placement& placement : placements) *group->add_placements() = std::move(placement);
}

void Controller::PlanAgain() {
  plan_needed_ = true;
  WakeAt(Now());
}

// False when the leadership is lost.
bool Controller::Commit(const CommitPlanRequest& request) {
  const auto response = ports_.api.CommitPlan(request);
  if (LostLeadership(response.status())) return false;
  if (!response.ok()) {
    LogWarning("plan_not_committed", {{"placements", PlacementsOf(request)}, {"error", response.status().message()}});
    // Whether it was committed is told by the watch of the work; a job placed twice is refused.
    plan_needed_ = true;
    plan_not_before_ =
        Now() + std::min(absl::Milliseconds(100) * (1 << std::min(failed_commits_++, 6)), absl::Seconds(5));
    WakeAt(plan_not_before_);
    return true;
  }
  failed_commits_ = 0;
  for (int i = 0; i < std::min(response->groups_size(), request.groups_size()); ++i)
    TakeResults(request.groups(i), response->groups(i));
  if (plan_needed_) WakeAt(Now());
  return true;
}

void Controller::TakeResults(const internal::v1::PlacementGroup& group, const internal::v1::GroupResult& results) {
  for (int i = 0; i < std::min(results.results_size(), group.placements_size()); ++i) {
    const internal::v1::PlacementResult& result = results.results(i);
    const internal::v1::Placement& placement = group.placements(i);
    const bool placed = result.attempt() > 0;
    ports_.metrics.placements.Add({{"outcome", placed ? "placed" : "refused"}}).Increment();
    Job* const job = state_.Find(placement.job_uid());
    if (job == nullptr) continue;
    if (placed) {
      LiveAttempt attempt;
      attempt.set_number(result.attempt());
      attempt.set_node(placement.node());
      attempt.set_state(v1::Attempt::STARTING);
      *attempt.mutable_gpu_uuids() = placement.gpu_uuids();
      attempt.set_token(result.token());
      job->blocked_by.clear();
      LogInfo("job_placed", {{"job", job->work.job()}, {"attempt", result.attempt()}, {"node", placement.node()}});
      state_.Commit(placement.job_uid(), std::move(attempt));
      continue;
    }
    plan_needed_ = true;
    if (!result.building_job().empty()) {
      WaitForEnvironment(placement.job_uid(), *job, result.building_job());
      continue;
    }
    LogInfo("placement_refused", {{"job", job->work.job()}, {"why", result.refusal()}});
    PlaceLater(placement.job_uid(), *job);
  }
}

// After a refusal by api or by a node: not again at once.
void Controller::PlaceLater(const std::string& uid, Job& job) {
  job.candidate = false;
  job.retry_at = Now() + std::min(absl::Seconds(1) * (1 << std::min(job.refusals++, 5)), absl::Seconds(30));
  state_.Later(uid, job.retry_at);
}

std::string Controller::UserOf(const std::string& key, const std::string& uid) {
  for (const std::string& other_uid : state_.live()) {
    Job& other = *state_.Find(other_uid);
    if (other_uid == uid || other.Live() == nullptr) continue;
    if (other.work.template_().install().empty() && other.work.template_().framework().empty()) continue;
    // A job that was placed by an earlier process: ask again which environment it has. Until the answer is there, api
    // refuses whoever would make the same.
    if (other.environment_key.empty()) {
      const auto environment = cache_.Resolve(other_uid, other.work.template_());
      if (environment && environment->ok()) other.environment_key = (*environment)->key();
    }
    if (other.environment_key == key) return other.work.job();
  }
  return "";
}

void Controller::Wait(const std::string& uid, const std::string& reason, const std::string& message) {
  waits_[uid] = {reason, message};
}

void Controller::WaitForEnvironment(const std::string& uid, Job& job, const std::string& building_job) {
  job.candidate = false;
  job.blocked_by = ShortName(building_job);
  job.retry_at = Now() + kEnvironmentPoll;
  state_.Later(uid, job.retry_at);
  Wait(uid, "ENVIRONMENT", absl::StrCat("waits for its environment, which ", job.blocked_by, " builds"));
}

void Controller::WaitForBuilder(const std::string& uid, Job& job, const absl::Status& status) {
  job.candidate = false;
  const bool impossible =
      status.code() == absl::StatusCode::kInvalidArgument || status.code() == absl::StatusCode::kNotFound;
  if (impossible && job.work.state() == v1::Job::PENDING) {
    internal::v1::Observation observation;
    observation.set_job_uid(uid);
    observation.set_event(internal::v1::Observation::IMPOSSIBLE);
    observation.set_reason("ENVIRONMENT_IMPOSSIBLE");
    observation.set_message(absl::StrCat("find the environment: ", status.message()));
    return Observe(job, std::move(observation));
  }
  job.retry_at = Now() + kEnvironmentPoll;
  state_.Later(uid, job.retry_at);
  Wait(uid, "BUILDER_UNAVAILABLE", absl::StrCat("the environment cannot be found: ", status.message()));
}

void Controller::WaitForRetry(const std::string& uid, const Job& job) {
  const absl::Time due = FromProtoTime(job.work.not_before());
  state_.Later(uid, due);
  Wait(uid, "RETRY",
       absl::StrCat("waits until ", absl::FormatTime("%H:%M:%S", due, absl::UTCTimeZone()),
                    " UTC before it is tried again"));
}

// Reports a job as impossible once no node could hold it for long enough. Nothing is final before every node has said
// what it has.
bool Controller::GiveUp(Job& job, const engine::Verdict& verdict) {
  const bool all_heard = std::ranges::all_of(
      state_.nodes(), [](const auto& node) { return node.second.last_heard != absl::InfinitePast(); });
  if (!engine::IsHopeless(verdict.reason) || !all_heard || job.work.state() != v1::Job::PENDING) {
    job.hopeless_since = absl::InfiniteFuture();
    return false;
  }
  job.hopeless_since = std::min(job.hopeless_since, Now());
  const absl::Time end = job.hopeless_since + options_.impossible_after;
  if (Now() < end) {
    state_.Later(job.work.job_uid(), end);
    return false;
  }
  job.candidate = false;
  internal::v1::Observation observation;
  observation.set_job_uid(job.work.job_uid());
  observation.set_event(internal::v1::Observation::IMPOSSIBLE);
  observation.set_reason(std::string(engine::Name(verdict.reason)));
  observation.set_message(absl::StrCat(verdict.message, "; ask for less under 'resources:'"));
  Observe(job, std::move(observation));
  return true;
}

void Controller::NoteWaits(const engine::Snapshot& snapshot, const engine::Plan& plan) {
  std::vector<int> counts(5);
  for (const engine::Wait& wait : plan.waits) {
    const engine::Verdict& verdict = plan.verdicts[wait.verdict];
    ++counts[static_cast<std::size_t>(verdict.reason)];
    const std::string& uid = snapshot.pending[wait.job].id;
    if (GiveUp(*state_.Find(uid), verdict)) continue;
    Wait(uid, std::string(engine::Name(verdict.reason)), verdict.message);
  }
  for (std::size_t i = 0; i < counts.size(); ++i)
    ports_.metrics.queue_depth.Add({{"reason", std::string(engine::Name(static_cast<engine::WaitReason>(i)))}})
        .Set(counts[i]);
}

// Records reasons that are new at once, other messages for the same reason not more often than every 5 s. False when
// the leadership is lost.
bool Controller::CommitWaits() {
  const absl::Time now = Now();
  std::vector<internal::v1::Wait> changed;
  for (auto it = waits_.begin(); it != waits_.end() && changed.size() < kMaxWaits * kMaxWaitCalls;) {
    const Job* const job = state_.Find(it->first);
    const auto& [reason, message] = it->second;
    const bool placed = job == nullptr || job->Live() != nullptr || job->work.state() != v1::Job::PENDING;
    if (placed || (job->wait_reason == reason && job->wait_message == message)) {
      it = waits_.erase(it);
      continue;
    }
    if (job->wait_reason == reason && now < job->wait_committed + kMessageInterval) {
      WakeAt(job->wait_committed + kMessageInterval);
    } else {
      internal::v1::Wait& wait = changed.emplace_back();
      wait.set_job_uid(it->first);
      wait.set_reason(reason);
      wait.set_message(message);
    }
    ++it;
  }
  for (std::size_t begin = 0; begin < changed.size(); begin += kMaxWaits) {
    CommitPlanRequest request;
    request.set_epoch(epoch_);
    const std::size_t end = std::min(changed.size(), begin + kMaxWaits);
    for (std::size_t i = begin; i < end; ++i) *request.add_waits() = changed[i];
    const auto response = ports_.api.CommitPlan(request);
    if (LostLeadership(response.status())) return false;
    if (!response.ok()) {
      LogWarning("waits_not_committed", {{"waits", request.waits_size()}, {"error", response.status().message()}});
      WakeAt(now + absl::Seconds(1));
      return true;
    }
    for (const internal::v1::Wait& wait : request.waits()) {
      Job& job = *state_.Find(wait.job_uid());
      job.wait_reason = wait.reason();
      job.wait_message = wait.message();
      job.wait_committed = now;
    }
  }
  if (changed.size() == kMaxWaits * kMaxWaitCalls) WakeAt(now);
  return true;
}

}  // namespace riseml::scheduler
