#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/client/experiments.h"
#include "cli/commands/commands.h"
#include "cli/commands/deletions.h"
#include "cli/render/format.h"
#include "cli/render/state.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

struct RmOptions {
  std::vector<std::string> ids;
  bool yes = false;
  bool quiet = false;
};

struct Doomed {
  Subject subject;
  v1::Experiment experiment;
};

// "set 26 of project census, 3 experiments, FINISHED".
std::string Described(const Doomed& doomed) {
  const v1::Experiment& experiment = doomed.experiment;
  const auto project = ParseProjectName(experiment.project());
  const bool set = experiment.type() == v1::Experiment::SET;
  return absl::StrCat(
      set ? "set " : "experiment ", doomed.subject.shown,
      project.ok() ? absl::StrCat(" of project ", OneLine(project->project)) : "",
      set ? absl::StrCat(", ", experiment.child_count(), " experiment", experiment.child_count() == 1 ? "" : "s") : "",
      ", ", v1::Experiment::State_Name(experiment.state()));
}

absl::StatusOr<std::vector<Doomed>> Find(Connection& connection, const std::vector<std::string>& ids) {
  std::vector<Doomed> out;
  for (const std::string& id : ids) {
    RISEML_RETURN_IF_ERROR(RefuseGuess(id));
    RISEML_ASSIGN_OR_RETURN(Subject subject, ResolveSubject(connection, id, "There is no experiment yet!"));
    if (subject.target.kind == Target::Kind::kJob)
      return absl::InvalidArgumentError(absl::StrCat(id, " is a job; only experiments and sets can be deleted"));
    auto experiment = GetExperiment(connection, subject.experiment);
    RISEML_RETURN_IF_ERROR(While(subject.shown, experiment.status()));
    const auto same = [&](const Doomed& other) { return other.experiment.name() == experiment->name(); };
    if (std::ranges::none_of(out, same)) out.push_back({std::move(subject), *std::move(experiment)});
  }
  // Later ones first: an experiment that reads an output is deleted before the one that wrote it.
  std::ranges::stable_sort(out, [](const Doomed& a, const Doomed& b) {
    return ParseExperimentName(a.experiment.name())->number > ParseExperimentName(b.experiment.name())->number;
  });
  return out;
}

absl::Status DeleteExperiment(Connection& connection, const Doomed& doomed) {
  v1::DeleteExperimentRequest request;
  request.set_name(doomed.subject.experiment);
  request.set_request_id(NewUuid());
  return connection
      .Call<v1::DeleteExperimentResponse>(
          [&](auto* context, auto* out) { return connection.experiments().DeleteExperiment(context, request, out); })
      .status();
}

absl::StatusOr<int> Rm(Session& session, const RmOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  RISEML_ASSIGN_OR_RETURN(const std::vector<Doomed> all, Find(*connection, options.ids));
  std::vector<Deletion> deletions;
  for (const Doomed& doomed : all)
    deletions.push_back({doomed.subject.shown, Described(doomed),
                         [connection, &doomed] { return DeleteExperiment(*connection, doomed); }});
  return DeleteAll(session, deletions,
                   {"Delete with results, logs and outputs? This cannot be undone.", options.yes, options.quiet});
}

}  // namespace

void AddRm(cmdline::Command app, Plan& plan) {
  cmdline::Command command =
      AddCommand(app, "rm", "Delete experiments or sets that have ended, with their results, logs and outputs",
                 "  riseml rm 14 15\n"
                 "  riseml rm --yes 14        without a question\n\n"
                 "An experiment whose output is an input of another one is not deleted. Code and environments stay: "
                 "see\nriseml project rm and riseml environment rm.");
  auto options = std::make_shared<RmOptions>();
  command.AddOption("ids", options->ids, "Experiments or sets").Type("ID").Required().Check(CheckId);
  command.AddFlag("-y,--yes", options->yes, "Do not ask");
  command.AddFlag("-q,--quiet", options->quiet, "Say nothing");
  Runs(command, plan, options, Rm);
}

}  // namespace riseml::cli
