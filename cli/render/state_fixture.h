// Experiment 5 of paul and its jobs, for tests.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "cli/client/experiment_state.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/job.pb.h"

namespace riseml::cli {

inline constexpr char kName[] = "users/paul/experiments/5";

inline v1::Job MakeJob(const std::string& role, v1::Job::State state) {
  v1::Job job;
  job.set_name(absl::StrCat(kName, "/jobs/", role));
  job.set_uid(absl::StrCat("uid-", role));
  job.set_role(role);
  job.set_state(state);
  if (state != v1::Job::CREATED && state != v1::Job::PENDING) job.set_attempt_count(1);
  return job;
}

inline void Put(ExperimentState& state, const v1::Job& job) {
  v1::WatchExperimentResponse change;
  *change.mutable_job() = job;
  state.Apply(change);
}

inline void Put(ExperimentState& state, v1::Experiment::State to, const std::string& name = kName) {
  v1::WatchExperimentResponse change;
  change.mutable_experiment()->set_name(name);
  change.mutable_experiment()->set_state(to);
  change.mutable_experiment()->mutable_create_time()->set_seconds(1'700'000'000);
  if (to == v1::Experiment::STARTING || to == v1::Experiment::RUNNING) {
    change.mutable_experiment()->mutable_start_time()->set_seconds(1'700'000'090);
  }
  state.Apply(change);
}

}  // namespace riseml::cli
