// Facts about attempts and jobs on their way to api.
#pragma once

#include <string>
#include <vector>

#include "riseml/internal/v1/scheduling.pb.h"
#include "services/scheduler/controller/shared.h"

namespace riseml::scheduler {

internal::v1::Observation MakeObservation(const std::string& job_uid, int attempt,
                                          internal::v1::Observation::Event event);
// About the job itself: it can never run.
internal::v1::Observation Impossible(const std::string& job_uid, absl::string_view reason, absl::string_view message);

// Lives on one thread.
class Observations {
 public:
  explicit Observations(const Shared& shared) : shared_(shared) {}

  // At most one call for a job between two Sends counts; each may add several facts, in order.
  void Add(Job& job, std::vector<internal::v1::Observation> facts);
  // Sends what was added. A fact that was not accepted is found again by whoever looks at its job. False when the
  // leadership is lost.
  bool Send();

 private:
  void Accepted(const internal::v1::Observation& observation);

  const Shared& shared_;
  std::vector<internal::v1::Observation> unsent_;
  int failures_ = 0;  // in a row
};

}  // namespace riseml::scheduler
