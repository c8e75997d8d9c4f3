#include "cli/client/experiment_state.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "cli/render/state.h"
#include "services/common/base/names.h"

namespace riseml::cli {
namespace {

// Removes the digits at the start of `text` and returns them.
absl::string_view TakeDigits(absl::string_view* text) {
  std::size_t end = 0;
  while (end < text->size() && absl::ascii_isdigit(static_cast<unsigned char>((*text)[end]))) ++end;
  const absl::string_view digits = text->substr(0, end);
  text->remove_prefix(end);
  return digits;
}

}  // namespace

bool ByNumber::operator()(absl::string_view a, absl::string_view b) const {
  while (!a.empty() && !b.empty()) {
    const absl::string_view left = TakeDigits(&a), right = TakeDigits(&b);
    // Numbers in names have no leading zero: the longer one is the larger one.
    if (!left.empty() && !right.empty()) {
      if (left != right) return std::pair(left.size(), left) < std::pair(right.size(), right);
      continue;
    }
    if (!left.empty() || !right.empty()) return !left.empty() ? left.front() < b.front() : a.front() < right.front();
    if (a.front() != b.front()) return a.front() < b.front();
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.size() < b.size();
}

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
