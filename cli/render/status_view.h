// Text of `riseml status`. Pure: messages in, text out.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/render/terminal.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/job.pb.h"

namespace riseml::cli {

// Context of a rendered text. Ids of experiments of other users than `caller` include their owner.
struct Viewer {
  Terminal terminal;
  std::string caller;
  absl::Time now;
  // False: the path exists and this user cannot read it. Null: every path can be read.
  bool (*may_read)(const std::string& path) = nullptr;
  bool MayRead(const std::string& path) const { return may_read == nullptr || may_read(path); }
};

struct ListedExperiment {
  v1::Experiment experiment;
  std::vector<v1::Experiment> children;  // only in the long form
  std::string waits_for;                 // why it is not running yet; empty if it runs or nobody knows
  std::string backlog;                   // lines on logs that are not stored yet (BacklogLines)
};

struct ListColumns {
  bool user = false;
  bool long_form = false;  // with PARAMS and RESULT
};

// A table, with a column of names if any experiment has one; the long form shows labels likewise.
std::string ExperimentList(const Viewer& viewer, const std::vector<ListedExperiment>& experiments,
                           const ListColumns& columns);
std::string ExperimentDetails(const Viewer& viewer, const v1::Experiment& experiment);
std::string SetDetails(const Viewer& viewer, const v1::Experiment& set, const std::vector<v1::Experiment>& children);
// Sorts experiments by their result of this name, or else their parameter: numbers from the smallest, then texts, then
// those that have none; equal ones keep their order.
void SortByValue(const std::string& name, std::vector<v1::Experiment>& experiments);

std::string JobDetails(const Viewer& viewer, const v1::Job& job);

// A line that names the code that ran and the commit of the user's own repository: "Code: 8e82663 (your commit 1a2b3c4
// on main)"; empty without a revision.
std::string CodeLine(const v1::Experiment& experiment);

// Returns the reason why an experiment that has not begun waits: the wait message and code of its first job that has
// one. May be empty.
std::string WaitsFor(const v1::Experiment& experiment);

}  // namespace riseml::cli
