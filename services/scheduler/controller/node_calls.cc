// Controller: calls to nodes and reports to api.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/rpc/status.h"
#include "services/scheduler/controller/controller.h"
#include "services/scheduler/controller/snapshot_of.h"

namespace riseml::scheduler {
namespace {

using internal::v1::Environment;
using internal::v1::LiveAttempt;
using internal::v1::Observation;

constexpr int kMaxObservations = 500;
constexpr absl::Duration kConfirmation = absl::Seconds(5);
constexpr absl::Duration kNodesInterval = absl::Seconds(30);

// `first`, twice as much, … up to `longest`.
absl::Duration Backoff(int tries, absl::Duration first, absl::Duration longest) {
  return std::min(first * (1 << std::clamp(tries, 0, 10)), longest);
}

absl::string_view Name(Call call) { return call == Call::kStart ? "start" : call == Call::kStop ? "stop" : "forget"; }

// True when trying again cannot help.
bool IsFinal(const absl::Status& status) {
  return !rpc::IsTransient(status) &&
         (status.code() == absl::StatusCode::kInvalidArgument ||
          status.code() == absl::StatusCode::kFailedPrecondition ||
          status.code() == absl::StatusCode::kResourceExhausted || status.code() == absl::StatusCode::kNotFound);
}

}  // namespace

void Controller::Start(const std::string& uid, Job& job, const LiveAttempt& live) {
  if (!MayCall(uid, job, live.number(), Call::kStart)) return;
  const auto answer = cache_.Resolve(uid, job.work.template_());
  if (!answer) return;
  const absl::StatusOr<Environment>& environment = *answer;
  if (!environment.ok()) {
    if (IsFinal(environment.status())) {
      job.start_failed = {live.number(), While("find the environment", environment.status())};
      return state_.MarkDirty(uid);
    }
    return state_.Later(uid, Now() + absl::Seconds(1));
  }
  job.environment_key = environment->key();

  auto request = std::make_shared<internal::v1::StartAttemptRequest>();
  request->set_job_uid(uid);
  request->set_attempt(live.number());
  request->set_job(job.work.job());
  request->set_epoch(epoch_);
  request->set_role(job.work.role());
  *request->mutable_template_() = job.work.template_();
  request->set_environment_path(environment->path());
  request->set_environment_key(environment->key());
  *request->mutable_shown_paths() = environment->shown_paths();
  if (environment->state() == Environment::MISSING) *request->mutable_build_steps() = environment->steps();
  *request->mutable_resources() = job.work.resources();
  *request->mutable_gpu_uuids() = live.gpu_uuids();
  request->set_token(live.token());
  request->set_runtime(v1::Job::PROCESS);
  std::map<std::string, int> members_of_role;
  for (const std::string& member_uid : state_.Gang(job.work.gang())) {
    const Job& member = state_.jobs().at(member_uid);
    const LiveAttempt* const attempt = member.Live();
    internal::v1::GangMember* const added = request->add_members();
    added->set_role(member.work.role());
    added->set_index(members_of_role[member.work.role()]++);
    if (attempt == nullptr) continue;
    added->set_node(attempt->node());
    const auto node = state_.nodes().find(attempt->node());
    if (node != state_.nodes().end()) added->set_address(node->second.address);
  }
  const std::string node = live.node();
  CallNode(uid, job, live.number(), Call::kStart,
           [node, request](Cluster& cluster) { return cluster.Start(node, *request); });
}

bool Controller::MayCall(const std::string& uid, Job& job, int attempt, Call call) {
  const Gate& gate = job.gates[{call, attempt}];
  if (gate.in_flight) return false;
  if (Now() >= gate.not_before) return true;
  state_.Later(uid, gate.not_before);
  return false;
}

void Controller::CallNode(const std::string& uid, Job& job, int attempt, Call call,
                          std::function<absl::Status(Cluster&)> body) {
  if (!MayCall(uid, job, attempt, call)) return;
  job.gates[{call, attempt}].in_flight = true;
  ports_.node_executor.Run([uid, attempt, call, body = std::move(body), generation = generation_,
                            &cluster = ports_.cluster, &results = ports_.node_calls] {
    results.Put({generation, uid, attempt, call, body(cluster)});
  });
}

void Controller::TakeNodeCalls() {
  for (const NodeCallResult& result : ports_.node_calls.Take()) {
    ports_.metrics.node_calls
        .Add({{"call", std::string(Name(result.call))}, {"outcome", result.status.ok() ? "ok" : "error"}})
        .Increment();
    Job* const job = result.generation == generation_ ? state_.Find(result.job_uid) : nullptr;
    if (job == nullptr) continue;
    state_.MarkDirty(result.job_uid);
    Gate& gate = job->gates[{result.call, result.attempt}];
    gate.in_flight = false;
    // After a success nothing is to be done until the node's watch shows it; if it never does, the call is made again.
    const absl::Duration pause = result.status.ok() ? Backoff(gate.tries, absl::Seconds(1), absl::Seconds(30))
                                                    : Backoff(gate.tries, absl::Milliseconds(100), absl::Seconds(10));
    ++gate.tries;
    gate.not_before = Now() + pause;
    if (result.status.ok()) continue;
    LogWarning("node_call_failed", {{"call", Name(result.call)},
                                    {"job", job->work.job()},
                                    {"attempt", result.attempt},
                                    {"error", result.status.message()}});
    if (result.call == Call::kStart && IsFinal(result.status)) job->start_failed = {result.attempt, result.status};
  }
}

void Controller::Observe(Job& job, Observation observation) {
  if (job.observed) return;
  job.observed = true;
  observations_.push_back(std::move(observation));
}

// False when the leadership is lost.
bool Controller::Report() {
  std::vector<Observation> observations = std::exchange(observations_, {});
  for (const Observation& observation : observations)
    if (Job* const job = state_.Find(observation.job_uid())) job->observed = false;
  for (std::size_t begin = 0; begin < observations.size(); begin += kMaxObservations) {
    const std::size_t end = std::min(observations.size(), begin + kMaxObservations);
    internal::v1::ReportObservationsRequest request;
    request.set_epoch(epoch_);
    for (std::size_t i = begin; i < end; ++i) *request.add_observations() = observations[i];
    const absl::Status status = ports_.api.ReportObservations(request);
    if (LostLeadership(status)) return false;
    if (status.ok()) {
      failed_reports_ = 0;
    } else if (failed_reports_++ == 0) {
      LogWarning("observations_not_accepted", {{"count", end - begin}, {"error", status.message()}});
    }
    const absl::Time retry_at = Now() + Backoff(failed_reports_, absl::Milliseconds(100), absl::Seconds(2));
    for (std::size_t i = begin; i < end; ++i) {
      if (status.ok()) {
        Accepted(observations[i]);
      } else {
        state_.Later(observations[i].job_uid(), retry_at);
      }
    }
  }
  return true;
}

void Controller::Accepted(const Observation& observation) {
  ports_.metrics.observations.Add({{"event", Observation::Event_Name(observation.event())}}).Increment();
  if (observation.has_time()) {
    const absl::Duration lag = Now() - FromProtoTime(observation.time());
    ports_.metrics.observation_lag.Observe(std::max(0.0, absl::ToDoubleSeconds(lag)));
  }
  Job* const job = state_.Find(observation.job_uid());
  if (job == nullptr) return;
  if (observation.attempt() == 0) {
    job->settled = true;
  } else if (observation.event() == Observation::STARTED) {
    job->started_reported = std::max(job->started_reported, observation.attempt());
    job->refusals = 0;
  } else {
    job->end_reported = std::max(job->end_reported, observation.attempt());
    if (job->is_build()) cache_.Clear();  // its environment may be there now
    if (observation.event() == Observation::REJECTED) PlaceLater(observation.job_uid(), *job);
  }
  job->confirm_by = Now() + kConfirmation;
  state_.MarkDirty(observation.job_uid());
}

// False when the leadership is lost.
bool Controller::ReportNodes() {
  if (state_.nodes().empty() || !NodesAreKnown()) return true;
  const absl::Time now = Now();
  internal::v1::ReportNodesRequest request;
  request.set_epoch(epoch_);
  std::string content;
  for (v1::Node& node : PresentNodes(state_, now, options_.node_silence_limit)) {
    v1::Node timeless = node;
    timeless.clear_update_time();
    absl::StrAppend(&content, timeless.SerializeAsString(), "\n");
    *request.add_nodes() = std::move(node);
  }
  if (content == reported_nodes_ && now < report_nodes_at_) {
    WakeAt(report_nodes_at_);
    return true;
  }
  const absl::Status status = ports_.api.ReportNodes(request);
  if (LostLeadership(status)) return false;
  if (status.ok()) {
    reported_nodes_ = content;
    report_nodes_at_ = now + kNodesInterval;
  } else {
    LogWarning("nodes_not_accepted", {{"error", status.message()}});
    reported_nodes_ = content;  // tried again in a second, not at every pass
    report_nodes_at_ = now + absl::Seconds(1);
  }
  WakeAt(report_nodes_at_);
  return true;
}

}  // namespace riseml::scheduler
