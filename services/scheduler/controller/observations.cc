#include "services/scheduler/controller/observations.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "services/common/base/log.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::scheduler {
namespace {

using internal::v1::Observation;

constexpr std::size_t kMaxObservations = 500;  // per call
// Per pass, in one call: running and startable jobs must not wait behind thousands of jobs that no node can hold.
constexpr std::size_t kMaxVerdicts = 100;
constexpr absl::Duration kConfirmation = absl::Seconds(5);

}  // namespace

Observation MakeObservation(const std::string& job_uid, int attempt, Observation::Event event) {
  Observation observation;
  observation.set_job_uid(job_uid);
  observation.set_attempt(attempt);
  observation.set_event(event);
  return observation;
}

Observation Impossible(const std::string& job_uid, absl::string_view reason, absl::string_view message) {
  Observation observation = MakeObservation(job_uid, 0, Observation::IMPOSSIBLE);
  observation.set_reason(std::string(reason));
  observation.set_message(std::string(message));
  return observation;
}

void Observations::Add(Job& job, std::vector<Observation> facts) {
  if (job.observed) return;
  job.observed = true;
  for (Observation& fact : facts) {
    if (fact.event() == Observation::IMPOSSIBLE) {
      verdicts_.push_back(std::move(fact));
    } else {
      facts_.push_back(std::move(fact));
    }
  }
}

bool Observations::SendFacts() { return Send(std::exchange(facts_, {})); }

bool Observations::SendVerdicts() {
  const auto end = verdicts_.begin() + static_cast<std::ptrdiff_t>(std::min(verdicts_.size(), kMaxVerdicts));
  std::vector<Observation> verdicts(std::make_move_iterator(verdicts_.begin()), std::make_move_iterator(end));
  verdicts_.erase(verdicts_.begin(), end);
  if (!verdicts_.empty()) shared_.alarm.At(shared_.Now());
  return Send(verdicts);
}

bool Observations::Send(const std::vector<Observation>& observations) {
  for (const Observation& observation : observations)
    if (Job* const job = shared_.jobs.Find(observation.job_uid())) job->observed = false;
  for (std::size_t begin = 0; begin < observations.size(); begin += kMaxObservations) {
    const std::size_t end = std::min(observations.size(), begin + kMaxObservations);
    internal::v1::ReportObservationsRequest request;
    request.set_epoch(shared_.epoch);
    for (std::size_t i = begin; i < end; ++i) *request.add_observations() = observations[i];
    const absl::Status status = shared_.ports.api.ReportObservations(request);
    if (SaysOthersLead(status)) return false;
    if (status.ok()) {
      failures_ = 0;
    } else if (failures_++ == 0) {
      LogWarning("observations_not_accepted", {{"count", end - begin}, {"error", status.message()}});
    }
    const absl::Time retry_at = shared_.Now() + Backoff(failures_, absl::Milliseconds(100), absl::Seconds(2));
    for (std::size_t i = begin; i < end; ++i) {
      if (status.ok()) {
        Accepted(observations[i]);
      } else {
        shared_.jobs.Later(observations[i].job_uid(), retry_at);
      }
    }
  }
  return true;
}

void Observations::Accepted(const Observation& observation) {
  shared_.ports.metrics.observations.Add({{"event", Observation::Event_Name(observation.event())}}).Increment();
  if (observation.has_time()) {
    const absl::Duration lag = shared_.Now() - FromProtoTime(observation.time());
    shared_.ports.metrics.observation_lag.Observe(std::max(0.0, absl::ToDoubleSeconds(lag)));
  }
  Job* const job = shared_.jobs.Find(observation.job_uid());
  if (job == nullptr) return;
  if (observation.has_output()) job->outputs_told.insert(observation.attempt());
  const internal::v1::LiveAttempt* const live = job->Live();
  if (observation.attempt() == 0) {
    job->settled = true;
  } else if (live == nullptr || live->number() != observation.attempt()) {
    return shared_.jobs.MarkDirty(observation.job_uid());
  } else if (observation.event() == Observation::STARTED) {
    job->started_reported = std::max(job->started_reported, observation.attempt());
    job->refusals = 0;
  } else {
    job->end_reported = std::max(job->end_reported, observation.attempt());
    if (job->is_build()) shared_.environments.Clear();  // its environment may exist now
    if (observation.event() == Observation::REJECTED) shared_.jobs.PlaceLater(observation.job_uid(), shared_.Now());
  }
  job->confirm_by = shared_.Now() + kConfirmation;
  shared_.jobs.MarkDirty(observation.job_uid());
}

}  // namespace riseml::scheduler
