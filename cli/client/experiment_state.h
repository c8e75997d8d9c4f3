// State of an experiment, its children and their jobs, as reported by a watch so far.
#pragma once

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "riseml/v1/experiment.pb.h"

namespace riseml::cli {

// Orders names by their numbers: "7.2" before "7.10".
struct ByNumber {
  bool operator()(absl::string_view a, absl::string_view b) const;
};

struct ExperimentState {
  v1::Experiment root;
  std::map<std::string, v1::Experiment, ByNumber> children;  // by resource name
  std::map<std::string, v1::Job, ByNumber> jobs;             // of the root and its children, by resource name
  bool synced = false;                                       // everything that existed at the start is in here
  bool complete = false;                                     // the watch has ended: nothing more will come

  explicit ExperimentState(absl::string_view name) { root.set_name(std::string(name)); }
  void Apply(const v1::WatchExperimentResponse& response);
  bool IsOver() const;
};

// Experiment part of a job's resource name.
std::string ExperimentOf(const v1::Job& job);

// Last part of a job's resource name, "train".
std::string JobPart(const v1::Job& job);

}  // namespace riseml::cli
