#include "cli/render/state_lines.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/render/format.h"
#include "cli/render/state.h"
#include "cli/render/terminal.h"

namespace riseml::cli {
namespace {

constexpr absl::string_view kBuildFailed = "BUILD_FAILED";  // reason of all that waited for it

template <class Entity>
std::vector<std::string> Explain(const Entity& entity) {
  std::vector<std::string> lines;
  if (!entity.reason().empty()) lines.push_back(absl::StrCat("Reason: ", OneLine(entity.reason())));
  if (!entity.message().empty()) lines.push_back(absl::StrCat("Message: ", OneLine(entity.message())));
  return lines;
}

std::optional<absl::Time> Began(const v1::Job& job) {
  if (IsTerminal(job.state())) return TimeOf(job.end_time());
  if (job.state() == v1::Job::RUNNING) return TimeOf(job.start_time());
  return job.state() == v1::Job::CREATED ? TimeOf(job.create_time()) : std::nullopt;
}

std::optional<absl::Time> Began(const v1::Experiment& experiment) {
  if (IsTerminal(experiment.state())) return TimeOf(experiment.end_time());
  if (experiment.state() == v1::Experiment::RUNNING) return TimeOf(experiment.run_time());
  if (experiment.state() == v1::Experiment::STARTING) return TimeOf(experiment.start_time());
  return experiment.state() == v1::Experiment::CREATED ? TimeOf(experiment.create_time()) : std::nullopt;
}

// A job that waits again has printed as well.
bool HasEnded(const v1::Job& job) {
  return IsTerminal(job.state()) || (job.state() == v1::Job::PENDING && job.attempt_count() > 0);
}

StateLine LineOf(const v1::Job& job) {
  StateLine line = {.name = job.name(), .lines = {absl::StrCat("--> ", StateName(job.state()))}, .time = Began(job)};
  if (job.attempt_count() > 1 && !IsTerminal(job.state())) {
    absl::StrAppend(&line.lines[0], " (attempt ", job.attempt_count(), ")");
  }
  for (std::string& text : Explain(job)) line.lines.push_back(std::move(text));
  if (job.has_exit_code() && IsTerminal(job.state()))
    line.lines.push_back(absl::StrCat("Exit Code: ", job.exit_code()));
  if (!IsTerminal(job.state()) && job.reason().empty() && !job.wait_message().empty()) {
    line.lines.push_back(absl::StrCat("Message: ", OneLine(job.wait_message())));
  }
  return line;
}

StateLine LineOf(const v1::Experiment& experiment) {
  StateLine line = {.name = experiment.name(),
                    .lines = {absl::StrCat("--> ", StateName(experiment.state()))},
                    .time = Began(experiment)};
  // Jobs explain their own failures; this explains failures without a job.
  if (experiment.state() == v1::Experiment::FAILED) {
    for (std::string& text : Explain(experiment)) line.lines.push_back(std::move(text));
  }
  return line;
}

}  // namespace

std::optional<StateLine> EarlierAttempt(const v1::Job& job, int number) {
  for (const v1::Attempt& attempt : job.attempts()) {
    if (attempt.number() != number || number >= job.attempt_count()) continue;
    StateLine line = {
        .name = job.name(),
        .lines = {absl::StrCat("--> ", v1::Attempt::State_Name(attempt.state()), " (attempt ", number, ")"),
                  absl::StrCat("Message: ", OneLine(attempt.message()), attempt.message().empty() ? "" : "; ",
                               "tried again, attempt ", number + 1, " follows")},
        .time = TimeOf(attempt.end_time())};
    return line;
  }
  return std::nullopt;
}

bool StateLines::LogIsOver(const v1::Job& job) const {
  return follow_over_ || job.attempt_count() == 0 || ended_logs_.contains({job.uid(), job.attempt_count()});
}

std::vector<StateLine> StateLines::Update(const ExperimentState& state) {
  std::vector<StateLine> out;
  const auto tell = [&](StateLine line) {
    std::string& told = told_[line.name];
    std::string now = absl::StrJoin(line.lines, "\n");
    if (told == now) return;
    told = std::move(now);
    out.push_back(std::move(line));
  };
  // Jobs that never began because a build failed are reported after that build: the cause comes first.
  const bool cause_is_told = std::ranges::all_of(state.jobs, [&](const auto& entry) {
    const v1::Job& job = entry.second;
    return job.role() != "build" || state.complete || (IsTerminal(job.state()) && LogIsOver(job));
  });
  const auto waits_for_cause = [&](const auto& entity) { return entity.reason() == kBuildFailed && !cause_is_told; };
  std::set<std::string> busy;  // experiments with a job whose end is not reported yet
  std::set<std::string> ends;  // those with a job that has ended, or waits again, and whose log is still to be shown
  bool anything_busy = false;
  const auto experiment_may_be_told = [&](const v1::Experiment& experiment, bool waits) {
    return experiment.state() != v1::Experiment::STATE_UNSPECIFIED && !(IsTerminal(experiment.state()) && waits);
  };
  for (const auto& [name, job] : state.jobs) {
    if (HasEnded(job) && !LogIsOver(job)) ends.insert(ExperimentOf(job));
    if (LogIsOver(job) && (IsTerminal(job.state()) || state.complete)) continue;
    busy.insert(ExperimentOf(job));
    anything_busy = true;
  }
  // Beginnings are reported from the outside in, ends from the inside out.
  const auto waits_again = [](const v1::Experiment& experiment, bool ends) {
    return experiment.state() == v1::Experiment::PENDING && ends;
  };
  if (!state.IsOver() && !waits_again(state.root, !ends.empty()) && experiment_may_be_told(state.root, false))
    tell(LineOf(state.root));
  for (const auto& [name, child] : state.children) {
    if (!IsTerminal(child.state()) && !waits_again(child, ends.contains(name)) && experiment_may_be_told(child, false))
      tell(LineOf(child));
  }
  for (const auto& [name, job] : state.jobs) {
    if ((!HasEnded(job) || LogIsOver(job)) && !waits_for_cause(job)) tell(LineOf(job));
  }
  for (const auto& [name, child] : state.children) {
    const bool waits = busy.contains(name) || waits_for_cause(child);
    if (IsTerminal(child.state()) && experiment_may_be_told(child, waits)) tell(LineOf(child));
  }
  if (state.IsOver() && experiment_may_be_told(state.root, anything_busy)) tell(LineOf(state.root));
  return out;
}

}  // namespace riseml::cli
