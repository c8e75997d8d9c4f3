// Decides whether and when a failed job is started again.
#pragma once

#include <optional>
#include <pqxx/pqxx>
#include <string>

#include "absl/time/time.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/job.pb.h"

namespace riseml::api {

struct Retry {
  int number = 0;  // 1 for the first retry after failures of this kind
  int most = 0;
  absl::Duration pause;  // before the job is placed again
};

// Returns the retry after a failure of this class; absent if the policy allows none. `failures` counts failures of its
// kind, this one included. The pause is that of Kubernetes' Jobs: 10 s, doubled each time, at most 6 minutes. Pure.
std::optional<Retry> NextRetry(const v1::RetryPolicy& policy, v1::Attempt::ExitClass exit_class, int failures);

// The same for a job whose attempt has just been recorded as FAILED.
std::optional<Retry> RetryOf(pqxx::transaction_base& tx, const std::string& job_uid, const std::string& root_uid,
                             v1::Attempt::ExitClass exit_class);

// Keeps a job from being placed for as long as the retry says.
void DelayJob(pqxx::transaction_base& tx, const std::string& job_uid, const Retry& retry);

}  // namespace riseml::api
