// Collects facts about attempts and jobs, and sends them to api.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "riseml/internal/v1/scheduling.pb.h"
#include "services/scheduler/controller/shared.h"

namespace riseml::scheduler {

internal::v1::Observation MakeObservation(const std::string& job_uid, int attempt,
                                          internal::v1::Observation::Event event);
// Returns the observation that the job can never run.
internal::v1::Observation Impossible(const std::string& job_uid, absl::string_view reason, absl::string_view message);

// Lives on one thread.
class Observations {
 public:
  explicit Observations(const Shared& shared) : shared_(shared) {}

  // A job for which something is still unsent takes nothing more; each call may add several facts, in order.
  void Add(Job& job, std::vector<internal::v1::Observation> facts);

  // Send what was added. SendFacts sends all facts about attempts and environments; SendVerdicts some of the jobs that
  // can never run, and the next pass goes on. What api did not accept is found again when its job is looked at. False
  // when the leadership is lost.
  bool SendFacts();
  bool SendVerdicts();

 private:
  bool Send(const std::vector<internal::v1::Observation>& observations);
  void Accepted(const internal::v1::Observation& observation);

  const Shared& shared_;
  std::vector<internal::v1::Observation> facts_;
  std::deque<internal::v1::Observation> verdicts_;
  int failures_ = 0;  // in a row
};

}  // namespace riseml::scheduler
