#include "cli/client/experiment_state.h"

#include "cli/render/state.h"
#include "services/common/base/names.h"

namespace riseml::cli {

void ExperimentState::Apply(const v1::WatchExperimentResponse& response) {
  switch (response.change_case()) {
    case v1::WatchExperimentResponse::kExperiment: {
      const v1::Experiment& experiment = response.experiment();
      const auto name = ParseExperimentName(experiment.name());
      if (name.ok() && name->child != 0 && experiment.name() != root.name()) {
        children[experiment.name()] = experiment;
      } else {
        root = experiment;
      }
      break;
    }
    case v1::WatchExperimentResponse::kJob:
      jobs[response.job().name()] = response.job();
      break;
    case v1::WatchExperimentResponse::kSynced:
      synced = true;
      break;
    default:
      break;
  }
}

bool ExperimentState::IsOver() const { return IsTerminal(root.state()); }

std::string ExperimentOf(const v1::Job& job) {
  const auto name = ParseJobName(job.name());
  return name.ok() ? Print(name->experiment) : job.name();
}

std::string JobPart(const v1::Job& job) {
  const auto name = ParseJobName(job.name());
  return name.ok() ? name->job : job.name();
}

}  // namespace riseml::cli
