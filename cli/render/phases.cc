#include "cli/render/phases.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cli/render/format.h"
#include "cli/render/state.h"

namespace riseml::cli {
namespace {

using Progress = Phase::Progress;

bool IsBuild(const v1::Job& job) { return job.role() == "build"; }

std::string Wait(const v1::Job& job) {
  if (!job.wait_message().empty()) return OneLine(job.wait_message());
  return OneLine(job.wait_reason());
}

Phase BuildPhase(const v1::Job& job, absl::Time now) {
  Phase phase = {.name = "build"};
  switch (job.state()) {
    case v1::Job::FINISHED:
      phase.progress = Progress::kDone;
      phase.detail =
          job.message().empty() ? Took(TimeOf(job.start_time()), TimeOf(job.end_time())) : OneLine(job.message());
      break;
    case v1::Job::FAILED:
    case v1::Job::KILLED:
      phase.progress = Progress::kFailed;
      phase.detail = OneLine(job.message().empty() ? job.reason() : job.message());
      break;
    default:
      phase.progress = Progress::kActive;
      phase.detail = Wait(job);
      if (job.state() == v1::Job::RUNNING) {
        phase.detail = "its log follows";
      } else if (phase.detail.empty()) {
        phase.elapsed = Took(TimeOf(job.create_time()), now);
      }
      break;
  }
  return phase;
}

Progress QueueProgress(v1::Experiment::State state, bool building) {
  if (state == v1::Experiment::CREATED || state == v1::Experiment::PENDING || state == v1::Experiment::BUILDING)
    return building ? Progress::kAhead : Progress::kActive;
  if (state == v1::Experiment::STATE_UNSPECIFIED) return Progress::kAhead;
  return Progress::kDone;
}

}  // namespace

std::vector<Phase> PhasesOf(const ExperimentState& state, absl::Time now) {
  std::vector<Phase> phases;
  bool building = false;
  for (const auto& [name, job] : state.jobs) {
    if (!IsBuild(job)) continue;
    phases.push_back(BuildPhase(job, now));
    building = phases.back().progress != Progress::kDone;
    break;
  }
  // The log shows when the phases after the build begin.
  if (BuildPrints(state)) return phases;
  const v1::Experiment::State now_in = state.root.state();
  Phase queue = {.name = "queue", .progress = QueueProgress(now_in, building)};
  const bool never_started = IsTerminal(now_in) && !TimeOf(state.root.start_time());
  if (never_started) queue.progress = building ? Progress::kAhead : Progress::kFailed;
  if (queue.progress == Progress::kActive) {
    for (const auto& [name, job] : state.jobs) {
      if (IsBuild(job) || IsTerminal(job.state()) || Wait(job).empty()) continue;
      queue.detail = Wait(job);
      break;
    }
    queue.elapsed = Took(TimeOf(state.root.create_time()), now);
  }
  Phase start = {.name = "start"};
  if (now_in == v1::Experiment::STARTING) {
    start.progress = Progress::kActive;
    start.elapsed = Took(TimeOf(state.root.start_time()), now);
  } else if (PhasesAreOver(state) && !never_started) {
    start.progress =
        TimeOf(state.root.run_time()) || now_in == v1::Experiment::RUNNING ? Progress::kDone : Progress::kFailed;
  }
  phases.push_back(queue);
  phases.push_back(start);
  return phases;
}

bool PhasesAreOver(const ExperimentState& state) {
  return state.root.state() == v1::Experiment::RUNNING || IsTerminal(state.root.state());
}

bool BuildPrints(const ExperimentState& state) {
  return std::ranges::any_of(
      state.jobs, [](const auto& job) { return IsBuild(job.second) && job.second.state() == v1::Job::RUNNING; });
}

std::string PhaseBlock::Line(const Phase& phase) const {
  struct Mark {
    absl::string_view utf8, ascii;
    Style style;
  };
  static constexpr Mark kMarks[] = {
      {"○", "o", Style::kPlain}, {"●", "*", Style::kYellow}, {"✓", "+", Style::kGreen}, {"✗", "x", Style::kRed}};
  const Mark& mark = kMarks[static_cast<int>(phase.progress)];
  std::string text = absl::StrCat(" ", phase.name);
  if (!phase.detail.empty()) absl::StrAppend(&text, "  ", phase.detail);
  if (!phase.elapsed.empty() && phase.elapsed != "-") absl::StrAppend(&text, "  (", phase.elapsed, ")");
  return absl::StrCat(Styled(terminal_, mark.style, terminal_.utf8 ? mark.utf8 : mark.ascii),
                      FirstColumns(text, terminal_.width - 2));
}

std::string PhaseBlock::Draw(const std::vector<Phase>& phases) {
  if (phases == shown_) return "";
  std::string out;
  if (!shown_.empty()) absl::StrAppend(&out, "\x1b[", shown_.size(), "A");
  for (const Phase& phase : phases) absl::StrAppend(&out, "\r\x1b[K", Line(phase), "\n");
  if (phases.size() < shown_.size()) absl::StrAppend(&out, "\r\x1b[J");
  shown_ = phases;
  return out;
}

}  // namespace riseml::cli
