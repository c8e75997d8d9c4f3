#include "cli/render/live_line.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "cli/client/target.h"
#include "cli/render/format.h"
#include "cli/render/state.h"

namespace riseml::cli {
namespace {

// The job that people wait for: one that runs, or else the first that is not over; null when there is none.
const v1::Job* JobUnderWay(const ExperimentState& state) {
  const v1::Job* waiting = nullptr;
  for (const auto& [name, job] : state.jobs) {
    if (IsTerminal(job.state())) continue;
    if (job.state() == v1::Job::RUNNING || job.state() == v1::Job::STARTING) return &job;
    if (waiting == nullptr) waiting = &job;
  }
  return waiting;
}

std::string Elapsed(std::optional<absl::Time> since, absl::Time now) {
  return since ? absl::StrCat(", ", Took(since, now)) : "";
}

std::string SetLine(const ExperimentState& state, absl::string_view caller, absl::Time now) {
  std::size_t ended = 0, running = 0;
  for (const auto& [name, child] : state.children) {
    ended += IsTerminal(child.state()) ? 1 : 0;
    running += child.state() == v1::Experiment::RUNNING ? 1 : 0;
  }
  return absl::StrCat(ShownId(state.root.name(), caller), ": ", ended, " of ", state.children.size(), " ended, ",
                      running, " running", Elapsed(TimeOf(state.root.create_time()), now));
}

}  // namespace

std::string LiveLine(const ExperimentState& state, absl::string_view caller, absl::Time now) {
  if (state.IsOver() || !state.synced) return "";
  const v1::Job* const job = JobUnderWay(state);
  const bool set = state.root.type() == v1::Experiment::SET && !state.children.empty();
  // All children wait for a build.
  if (set && (job == nullptr || job->role() != "build")) return SetLine(state, caller, now);
  if (job == nullptr) return "";
  const auto since = TimeOf(job->start_time());
  return absl::StrCat(ShownId(job->name(), caller), " is ", StateName(job->state()),
                      Elapsed(since ? since : TimeOf(job->create_time()), now));
}

}  // namespace riseml::cli
