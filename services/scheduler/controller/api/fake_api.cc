#include "services/scheduler/controller/api/fake_api.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::scheduler {

using internal::v1::Observation;
using internal::v1::Work;

namespace {

void Refuse(internal::v1::PlacementResult* result, internal::v1::PlacementResult::Refusal refusal,
            const std::string& message) {
  result->set_refusal(refusal);
  result->set_message(message);
}

absl::Status CheckPlan(const internal::v1::CommitPlanRequest& request) {
  std::set<std::string> placed;
  int items = request.waits_size() + request.evictions_size();
  for (const auto& group : request.groups()) {
    items += group.placements_size();
    if (group.placements().empty()) return Error(Reason::kInvalidArgument, "a group is empty");
    for (const auto& placement : group.placements())
      if (!placed.insert(placement.job_uid()).second) return Error(Reason::kInvalidArgument, "a job is placed twice");
  }
  if (items > 1000) return Error(Reason::kInvalidArgument, "a plan has at most 1000 items");
  return absl::OkStatus();
}

bool IsTerminal(const Work& work) {
  return work.state() == v1::Job::FINISHED || work.state() == v1::Job::FAILED || work.state() == v1::Job::KILLED;
}

// Returns a job as api shows it. A job that has ended lacks its requirements.
Work Shown(const Work& work) {
  if (!IsTerminal(work)) return work;
  Work shown = work;
  for (const auto clear : {&Work::clear_environment, &Work::clear_gang, &Work::clear_node_selectors,
                           &Work::clear_next_resources, &Work::clear_not_before, &Work::clear_avoided_nodes})
    (shown.*clear)();
  return shown;
}

}  // namespace

Work& FakeApi::Add(const std::string& uid, const std::function<void(Work&)>& change) {
  Work& work = jobs_[uid];
  work.set_job_uid(uid);
  work.set_job(absl::StrCat("users/paul/experiments/", sequence_ + 1, "/jobs/train"));
  work.set_role("train");
  work.set_state(v1::Job::PENDING);
  work.set_sequence(++sequence_);
  work.set_version(1);
  work.mutable_resources()->set_cpus(1);
  work.mutable_resources()->set_memory_bytes(1'000'000'000);
  work.mutable_resources()->set_gpus(0);
  if (change) change(work);
  Send(uid);
  return work;
}

void FakeApi::Change(const std::string& uid, const std::function<void(Work&)>& change) {
  Work& work = jobs_.at(uid);
  change(work);
  work.set_version(work.version() + 1);
  Send(uid);
}

void FakeApi::Kill(const std::string& uid) {
  Change(uid, [](Work& work) {
    work.set_kill(true);
    if (!work.has_attempt() && !IsTerminal(work)) work.set_state(v1::Job::KILLED);
  });
}

std::string FakeApi::Outcome(const std::string& uid) const {
  const auto attempts = attempts_.find(uid);
  return absl::StrCat(v1::Job::State_Name(jobs_.at(uid).state()), " ",
                      attempts == attempts_.end() ? 0 : attempts->second);
}

void FakeApi::Send(const std::string& uid) {
  if (!watched_) return;
  WorkBatch batch;
  batch.work.push_back(Shown(jobs_.at(uid)));
  batches_.push_back(std::move(batch));
  if (wake_) wake_();
}

absl::StatusOr<internal::v1::JobTemplate> FakeApi::GetTemplate(const std::string& job_uid) {
  const auto job = jobs_.find(job_uid);
  if (job == jobs_.end()) return Error(Reason::kNotFound, absl::StrCat("there is no job ", job_uid));
  internal::v1::JobTemplate needs;
  needs.add_commands(absl::StrCat("run ", job->second.job()));
  return needs;
}

void FakeApi::RestartWatch() {
  batches_.clear();
  Relist();
}

void FakeApi::Relist() {
  watched_ = true;
  WorkBatch first{.from_start = true};
  for (const auto& [uid, work] : jobs_)
    if (!IsTerminal(work)) first.work.push_back(work);
  batches_.push_back(std::move(first));
  batches_.push_back({.synced = true});
  if (wake_) wake_();
}

std::optional<WorkBatch> FakeApi::TakeWork() {
  if (!deliver || batches_.empty()) return std::nullopt;
  WorkBatch batch = std::move(batches_.front());
  batches_.pop_front();
  return batch;
}

absl::Status FakeApi::CheckEpoch(std::int64_t epoch) const {
  return epoch == epoch_ ? absl::OkStatus() : Error(Reason::kNotLeader, absl::StrCat("epoch ", epoch, " is over"));
}

absl::Status FakeApi::Call(const std::string& call, const std::function<absl::Status()>& body) {
  ++calls_;
  RISEML_RETURN_IF_ERROR(before(call));
  RISEML_RETURN_IF_ERROR(body());
  return after(call);
}

absl::StatusOr<std::int64_t> FakeApi::AcquireLeadership(const std::string& holder, absl::Duration, std::int64_t epoch) {
  RISEML_RETURN_IF_ERROR(Call("AcquireLeadership", [&]() -> absl::Status {
    if (!holder_.empty() && holder_ != holder) return Error(Reason::kNotLeader, "somebody else leads");
    holder_ = holder;
    if (epoch != epoch_ || epoch == 0) ++epoch_;
    return absl::OkStatus();
  }));
  return epoch_;
}

absl::StatusOr<internal::v1::CommitPlanResponse> FakeApi::CommitPlan(const internal::v1::CommitPlanRequest& request) {
  internal::v1::CommitPlanResponse response;
  RISEML_RETURN_IF_ERROR(Call("CommitPlan", [&]() -> absl::Status {
    RISEML_RETURN_IF_ERROR(CheckEpoch(request.epoch()));
    RISEML_RETURN_IF_ERROR(CheckPlan(request));
    for (const auto& group : request.groups()) *response.add_groups() = PlaceGroup(group);
    for (const auto& wait : request.waits()) {
      if (!jobs_.contains(wait.job_uid())) continue;
      Change(wait.job_uid(), [&](Work& work) {
        work.set_wait_reason(wait.reason());
        work.set_wait_message(wait.message());
      });
    }
    for (const auto& eviction : request.evictions()) {
      const auto job = jobs_.find(eviction.job_uid());
      if (job == jobs_.end() || job->second.attempt().number() != eviction.attempt()) continue;
      Change(eviction.job_uid(), [](Work& work) { work.mutable_attempt()->set_evicted(true); });
    }
    return absl::OkStatus();
  }));
  return response;
}

internal::v1::GroupResult FakeApi::PlaceGroup(const internal::v1::PlacementGroup& group) {
  internal::v1::GroupResult out;
  for (const auto& placement : group.placements()) *out.add_results() = RefusalOf(placement);
  const auto refused =
      std::ranges::find_if(out.results(), [](const auto& member) { return !member.message().empty(); });
  if (refused != out.results().end()) {
    const std::string why = "another job of its group was refused: " + refused->message();
    for (auto& member : *out.mutable_results())
      if (member.message().empty()) Refuse(&member, internal::v1::PlacementResult::GROUP_REFUSED, why);
    return out;
  }
  out.clear_results();
  for (const auto& placement : group.placements()) *out.add_results() = Place(placement);
  return out;
}

internal::v1::PlacementResult FakeApi::RefusalOf(const internal::v1::Placement& placement) const {
  internal::v1::PlacementResult result;
  result.set_job_uid(placement.job_uid());
  const Work& work = jobs_.at(placement.job_uid());
  const auto build = builds_.find(placement.environment_key());
  if (work.state() != v1::Job::PENDING || work.kill()) {
    Refuse(&result, internal::v1::PlacementResult::NOT_PENDING, "the job does not wait for a placement");
  } else if (!placement.environment_key().empty() && build != builds_.end()) {
    Refuse(&result, internal::v1::PlacementResult::ENVIRONMENT_BUSY, "its environment is being built");
    result.set_building_job(jobs_.at(build->second).job());
  }
  return result;
}

internal::v1::PlacementResult FakeApi::Place(const internal::v1::Placement& placement) {
  internal::v1::PlacementResult result;
  const std::string& uid = placement.job_uid();
  result.set_job_uid(uid);
  if (!placement.environment_key().empty()) builds_.emplace(placement.environment_key(), uid);
  placements_[uid] = placement;
  result.set_attempt(++attempts_[uid]);
  result.set_token(absl::StrCat("token-", uid, "-", result.attempt()));
  Change(uid, [&](Work& changed) {
    changed.set_state(v1::Job::STARTING);
    changed.mutable_attempt()->set_number(result.attempt());
    changed.mutable_attempt()->set_node(placement.node());
    changed.mutable_attempt()->set_state(v1::Attempt::STARTING);
    *changed.mutable_attempt()->mutable_gpu_uuids() = placement.gpu_uuids();
    changed.mutable_attempt()->set_token(result.token());
  });
  return result;
}

absl::Status FakeApi::ReportObservations(const internal::v1::ReportObservationsRequest& request) {
  return Call("ReportObservations", [&]() -> absl::Status {
    RISEML_RETURN_IF_ERROR(CheckEpoch(request.epoch()));
    if (request.observations_size() > 500) return Error(Reason::kInvalidArgument, "at most 500 observations");
    for (const Observation& observation : request.observations()) Derive(observation);
    return absl::OkStatus();
  });
}

void FakeApi::Derive(const Observation& observation) {
  observations_.push_back(observation);
  if (!jobs_.contains(observation.job_uid())) return;
  const Work& work = jobs_.at(observation.job_uid());
  const std::string reason =
      observation.event() == Observation::EXITED && observation.exit_code() != 0 ? "ERROR" : observation.reason();
  const auto end = [&](v1::Job::State state) {
    std::erase_if(builds_, [&](const auto& build) { return build.second == observation.job_uid(); });
    Change(observation.job_uid(), [&](Work& changed) {
      changed.clear_attempt();
      changed.set_state(state);
      changed.set_reason(reason);
      changed.set_message(observation.message());
    });
  };
  if (observation.attempt() == 0) {
    if (work.state() != v1::Job::PENDING) return;
    return end(observation.event() == Observation::IMPOSSIBLE ? v1::Job::FAILED : v1::Job::FINISHED);
  }
  if (!work.has_attempt() || work.attempt().number() != observation.attempt()) return;
  switch (observation.event()) {
    case Observation::STARTED:
      if (work.attempt().state() != v1::Attempt::STARTING) return;
      return Change(observation.job_uid(), [](Work& changed) {
        changed.set_state(v1::Job::RUNNING);
        changed.mutable_attempt()->set_state(v1::Attempt::RUNNING);
      });
    case Observation::EXITED:
      return end(observation.exit_code() == 0 && observation.exit_class() == v1::Attempt::SUCCESS ? v1::Job::FINISHED
                                                                                                  : v1::Job::FAILED);
    case Observation::STOPPED:
      if (work.kill()) return end(v1::Job::KILLED);
      return end(work.attempt().evicted() ? v1::Job::PENDING : v1::Job::FAILED);  // or nobody has asked for it
    case Observation::REJECTED:
      return end(work.kill() ? v1::Job::KILLED : v1::Job::PENDING);
    default:
      return end(v1::Job::FAILED);
  }
}

absl::Status FakeApi::ReportNodes(const internal::v1::ReportNodesRequest& request) {
  return Call("ReportNodes", [&]() -> absl::Status {
    RISEML_RETURN_IF_ERROR(CheckEpoch(request.epoch()));
    nodes_.assign(request.nodes().begin(), request.nodes().end());
    return absl::OkStatus();
  });
}

}  // namespace riseml::scheduler
