#include "cli/commands/follow.h"

#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/client/experiment_state.h"
#include "cli/client/experiments.h"
#include "cli/client/live.h"
#include "cli/client/target.h"
#include "cli/commands/commands.h"
#include "cli/commands/log_session.h"
#include "cli/render/format.h"
#include "cli/render/phases.h"
#include "cli/render/state.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

// Shows the phases on a terminal until a job prints or all phases are over. False if the user left.
absl::StatusOr<bool> ShowPhases(Session& session, Live& live, ExperimentState& state) {
  PhaseBlock block(session.out());
  while (!state.synced || !(PhasesAreOver(state) || BuildPrints(state))) {
    const auto event = live.Next(absl::Seconds(1));
    if (event) {
      if (std::holds_alternative<Interrupted>(*event)) return false;
      if (std::holds_alternative<ConnectionLost>(*event)) session.Tell("connection lost, reconnecting…\n");
      if (std::holds_alternative<ConnectionResumed>(*event)) session.Tell("resumed, nothing lost\n");
      if (const auto* change = std::get_if<v1::WatchExperimentResponse>(&*event)) state.Apply(*change);
      if (const auto* ended = std::get_if<WatchEnded>(&*event)) {
        RISEML_RETURN_IF_ERROR(ended->status);
        state.complete = true;
        return true;
      }
    }
    if (state.synced) session.Print(block.Draw(PhasesOf(state, session.Now())));
    RISEML_RETURN_IF_ERROR(session.output_status());
  }
  return true;
}

// Says how many children of a set are in each state, and which command compares them.
std::string ChildrenSummary(const ExperimentState& state, const std::string& id) {
  std::map<v1::Experiment::State, int> counts;
  std::set<std::string> results;
  for (const auto& [name, child] : state.children) {
    ++counts[child.state()];
    for (const auto& [key, value] : child.result().fields()) results.insert(key);
  }
  std::vector<std::string> parts;
  for (const auto& [child_state, count] : counts) parts.push_back(absl::StrCat(count, " ", StateName(child_state)));
  if (parts.empty()) return "";
  const std::string heading = absl::StrCat("Children: ", absl::StrJoin(parts, ", "), "\n");
  if (counts.size() == 1 && counts.contains(v1::Experiment::FAILED))
    return absl::StrCat(heading, "Type `riseml status ", id, "` to see why.\n");
  const std::string sorted = results.empty() ? "" : absl::StrCat(" --sort-by ", OneLine(*results.begin()));
  return absl::StrCat(heading, "Type `riseml status ", id, sorted, "` to compare them.\n");
}

int ExitCodeOf(v1::Experiment::State state) {
  if (state == v1::Experiment::FINISHED) return kExitOk;
  return state == v1::Experiment::KILLED ? kExitKilled : kExitError;
}

}  // namespace

absl::StatusOr<int> FollowToTheEnd(Session& session, Connection& connection, const v1::Experiment& experiment) {
  RISEML_ASSIGN_OR_RETURN(Interrupts* const interrupts, session.Signals());
  ExperimentState state(experiment.name());
  Live live(connection, *interrupts);
  v1::WatchExperimentRequest watch;
  watch.set_name(experiment.name());
  live.Watch(watch);
  bool stayed = true;
  // Without a terminal the log begins at once: it also reports changes of state, and shows a build while it runs.
  if (session.out().tty) {
    RISEML_ASSIGN_OR_RETURN(stayed, ShowPhases(session, live, state));
  }
  if (stayed) {
    RISEML_ASSIGN_OR_RETURN(const LogShown shown,
                            ShowLog(session, connection, live, {.experiment = experiment.name()}, state));
    stayed = shown != LogShown::kLeft;
  }
  if (!stayed) {
    TellDetached(session, experiment.name());
    return kExitInterrupted;
  }
  // Results are complete once the log has ended, possibly later than the experiment.
  const auto newest = GetExperiment(connection, experiment.name());
  const v1::Experiment& last = newest.ok() ? *newest : state.root;
  session.Print(absl::StrCat(last.type() == v1::Experiment::SET ? "Set " : "Experiment ",
                             ShownId(last.name(), connection.caller()), ": ", ShownState(session.out(), last.state()),
                             // No start time: the build failed, or the experiment was killed before it started.
                             last.has_start_time()
                                 ? absl::StrCat(" after ", Took(TimeOf(last.start_time()), TimeOf(last.end_time())))
                                 : ", it did not start",
                             "\n"));
  if (last.type() == v1::Experiment::SET)
    session.Print(ChildrenSummary(state, ShownId(last.name(), connection.caller())));
  if (last.result().fields_size() > 0) session.Print(absl::StrCat("RESULT: ", Pairs(last.result()), "\n"));
  return ExitCodeOf(last.state());
}

}  // namespace riseml::cli
