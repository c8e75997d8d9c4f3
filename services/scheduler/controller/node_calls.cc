#include "services/scheduler/controller/node_calls.h"

#include <utility>

#include "services/common/base/log.h"
#include "services/common/rpc/status.h"

namespace riseml::scheduler {
namespace {

absl::string_view CallName(Call call) {
  return call == Call::kStart ? "start" : call == Call::kStop ? "stop" : "forget";
}

}  // namespace

bool IsFinal(const absl::Status& status) {
  return !rpc::IsTransient(status) &&
         (status.code() == absl::StatusCode::kInvalidArgument ||
          status.code() == absl::StatusCode::kFailedPrecondition ||
          status.code() == absl::StatusCode::kResourceExhausted || status.code() == absl::StatusCode::kNotFound);
}

bool NodeCalls::May(const std::string& uid, Job& job, int attempt, Call call) {
  const CallState& state = job.calls[{call, attempt}];
  if (state.in_flight) return false;
  if (shared_.Now() >= state.not_before) return true;
  shared_.jobs.Later(uid, state.not_before);
  return false;
}

void NodeCalls::MakeOn(Executor& executor, const std::string& uid, Job& job, int attempt, Call call,
                       std::function<absl::Status(Cluster&)> body) {
  if (!May(uid, job, attempt, call)) return;
  job.calls[{call, attempt}].in_flight = true;
  executor.Run([uid, attempt, call, body = std::move(body), epoch = shared_.epoch, &cluster = shared_.ports.cluster,
                &results = shared_.ports.node_calls] {
    results.Put({epoch, uid, attempt, call, body(cluster)});
  });
}

void NodeCalls::TakeResults() {
  for (const NodeCallResult& result : shared_.ports.node_calls.Take()) {
    shared_.ports.metrics.node_calls
        .Add({{"call", std::string(CallName(result.call))}, {"outcome", result.status.ok() ? "ok" : "error"}})
        .Increment();
    if (result.epoch == shared_.epoch) Take(result);  // calls of earlier terms are ignored
  }
}

void NodeCalls::Take(const NodeCallResult& result) {
  Job* const job = shared_.jobs.Find(result.job_uid);
  if (job == nullptr) return;
  shared_.jobs.MarkDirty(result.job_uid);
  CallState& state = job->calls[{result.call, result.attempt}];
  state.in_flight = false;
  // After a success nothing is to be done until the node's watch shows it. If it never does, the call is repeated.
  const absl::Duration pause = result.status.ok() ? Backoff(state.tries, absl::Seconds(1), absl::Seconds(30))
                                                  : Backoff(state.tries, absl::Milliseconds(100), absl::Seconds(10));
  ++state.tries;
  state.not_before = shared_.Now() + pause;
  if (result.status.ok()) return;
  LogWarning("node_call_failed", {{"call", CallName(result.call)},
                                  {"job", job->work.job()},
                                  {"attempt", result.attempt},
                                  {"error", result.status.message()}});
  if (result.call == Call::kStart && IsFinal(result.status)) job->start_failed = {result.attempt, result.status};
}

}  // namespace riseml::scheduler
