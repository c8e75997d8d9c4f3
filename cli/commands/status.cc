#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/client/experiments.h"
#include "cli/commands/commands.h"
#include "cli/render/json.h"
#include "cli/render/log_backlog.h"
#include "cli/render/state.h"
#include "cli/render/status_view.h"
#include "services/common/base/names.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

constexpr int kMostLooks = 10;  // at experiments of a list that have not begun, and at others: each is a call

struct StatusOptions {
  std::string id;
  bool all = false;
  std::int64_t last = -1;  // -1: not given
  bool all_users = false;
  bool long_form = false;
  bool json = false;
  bool quiet = false;
  std::string sort_by;  // of children; empty: their number
};

// Removes a path that this user cannot enter from the output for programs, too.
void HideClosedPath(const Session& session, v1::Experiment* experiment) {
  if (!session.viewer().MayRead(experiment->output_path())) experiment->clear_output_path();
}

bool HasNotBegun(const v1::Experiment& experiment) {
  return experiment.type() != v1::Experiment::SET &&
         (experiment.state() == v1::Experiment::CREATED || experiment.state() == v1::Experiment::PENDING ||
          experiment.state() == v1::Experiment::BUILDING);
}

bool HasBegun(const v1::Experiment& experiment) {
  return experiment.type() != v1::Experiment::SET && !HasNotBegun(experiment);
}

// Says of some experiments why they have not begun, and which of their logs wait. One may be gone by now; then nothing
// is shown of it.
void LookAt(Connection& connection, std::vector<ListedExperiment>& listed) {
  int not_begun = 0, begun = 0;
  for (ListedExperiment& row : listed) {
    const bool looks =
        (HasNotBegun(row.experiment) && not_begun++ < kMostLooks) || (HasBegun(row.experiment) && begun++ < kMostLooks);
    if (!looks) continue;
    const auto full = GetExperiment(connection, row.experiment.name());
    if (!full.ok()) continue;
    if (HasNotBegun(row.experiment)) row.waits_for = WaitsFor(*full);
    for (const v1::Job& job : full->jobs()) absl::StrAppend(&row.backlog, BacklogLines(job, connection.caller()));
  }
}

absl::StatusOr<std::vector<v1::Experiment>> Children(Connection& connection, const v1::Experiment& set,
                                                     const std::string& sort_by) {
  v1::ListExperimentsRequest request;
  request.set_parent(set.name());
  RISEML_ASSIGN_OR_RETURN(std::vector<v1::Experiment> children, ListExperiments(connection, request, 0));
  if (sort_by.empty()) return children;
  const bool known = std::ranges::any_of(children, [&](const v1::Experiment& child) {
    return child.parameters().contains(sort_by) || child.result().fields().contains(sort_by);
  });
  if (!known && !children.empty()) {
    std::set<std::string> names;
    for (const v1::Experiment& child : children) {
      for (const auto& [name, value] : child.parameters()) names.insert(name);
      for (const auto& [name, value] : child.result().fields()) names.insert(name);
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "--sort-by ", sort_by, ": no child has such a parameter or result; there are: ", absl::StrJoin(names, ", ")));
  }
  SortByValue(sort_by, children);
  return children;
}

absl::StatusOr<int> PrintList(Session& session, Connection& connection, const StatusOptions& options,
                              const std::string& user) {
  v1::ListExperimentsRequest request;
  request.set_parent(Print(UserName{options.all_users ? "-" : user}));
  if (!options.all) OnlyUnderWay(&request);
  const std::int64_t limit = options.last >= 0 ? options.last : options.all ? 10 : 0;
  RISEML_ASSIGN_OR_RETURN(std::vector<v1::Experiment> found, ListExperiments(connection, request, limit));
  if (options.quiet) {
    for (const v1::Experiment& experiment : found) {
      session.Print(absl::StrCat(ShownId(experiment.name(), connection.caller()), "\n"));
    }
    return kExitOk;
  }
  if (found.empty() && !options.json) {
    session.Tell(options.all ? "There are no experiments yet. Start one with: riseml train\n"
                             : "Nothing is under way. `riseml status -a` shows what has ended.\n");
    return kExitOk;
  }
  std::vector<ListedExperiment> listed;
  std::vector<v1::Experiment> flat;
  for (v1::Experiment& experiment : found) {
    ListedExperiment row;
    if (options.long_form && experiment.type() == v1::Experiment::SET) {
      RISEML_ASSIGN_OR_RETURN(row.children, Children(connection, experiment, options.sort_by));
    }
    flat.push_back(experiment);
    flat.insert(flat.end(), row.children.begin(), row.children.end());
    row.experiment = std::move(experiment);
    listed.push_back(std::move(row));
  }
  if (options.json) {
    for (v1::Experiment& experiment : flat) HideClosedPath(session, &experiment);
    session.Print(JsonObject().Many("experiments", flat).Text());
    return kExitOk;
  }
  LookAt(connection, listed);
  session.Print(ExperimentList(session.viewer(), listed, {.user = options.all_users, .long_form = options.long_form}));
  return kExitOk;
}

absl::StatusOr<int> PrintExperiment(Session& session, Connection& connection, const StatusOptions& options,
                                    const Subject& subject) {
  RISEML_ASSIGN_OR_RETURN(v1::Experiment experiment, GetExperiment(connection, subject.experiment));
  const bool set = experiment.type() == v1::Experiment::SET;
  std::vector<v1::Experiment> children;
  if (set) {
    RISEML_ASSIGN_OR_RETURN(children, Children(connection, experiment, options.sort_by));
  }
  if (options.json) {
    HideClosedPath(session, &experiment);
    for (v1::Experiment& child : children) HideClosedPath(session, &child);
    JsonObject object;
    object.One("experiment", experiment);
    if (set) object.Many("children", children);
    session.Print(object.Text());
  } else if (options.quiet) {
    session.Print(absl::StrCat(ShownId(experiment.name(), connection.caller()), "\n"));
  } else {
    session.Print(set ? SetDetails(session.viewer(), experiment, children)
                      : ExperimentDetails(session.viewer(), experiment));
  }
  return kExitOk;
}

absl::StatusOr<int> PrintJob(Session& session, Connection& connection, const StatusOptions& options,
                             const Subject& subject) {
  RISEML_ASSIGN_OR_RETURN(const v1::Job job, GetJob(connection, subject.resource));
  if (options.json) {
    session.Print(JsonObject().One("job", job).Text());
  } else if (options.quiet) {
    session.Print(absl::StrCat(ShownId(job.name(), connection.caller()), "\n"));
  } else {
    session.Print(JobDetails(session.viewer(), job));
  }
  return kExitOk;
}

absl::StatusOr<int> Status(Session& session, const StatusOptions& options) {
  Target target = {.kind = Target::Kind::kUser};
  if (!options.id.empty()) {
    RISEML_ASSIGN_OR_RETURN(target, ParseTarget(options.id));
  }
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  if (target.kind == Target::Kind::kUser) {
    return PrintList(session, *connection, options, target.user.empty() ? connection->caller() : target.user);
  }
  RISEML_ASSIGN_OR_RETURN(const Subject subject, ResolveSubject(*connection, options.id, "Could not find experiment!"));
  if (subject.target.kind == Target::Kind::kJob) return PrintJob(session, *connection, options, subject);
  return PrintExperiment(session, *connection, options, subject);
}

}  // namespace

void AddStatus(cmdline::Command app, Plan& plan) {
  cmdline::Command command = AddCommand(app, "status", "Show experiments, sets and jobs",
                                        "  riseml status           what is under way\n"
                                        "  riseml status -a -n 20  the last 20 experiments in any state\n"
                                        "  riseml status -al       with parameters, results and the children of sets\n"
                                        "  riseml status 14 --sort-by loss  children of set 14, the best one first\n"
                                        "  riseml status 14.3      details of child 3 of set 14\n"
                                        "  riseml status 14.train  details of a job\n"
                                        "  riseml status .paul     experiments of paul");
  auto options = std::make_shared<StatusOptions>();
  command.AddOption("id", options->id, "Experiment, set, job, or a user as .NAME").Type("ID").Check(CheckId);
  command.AddFlag("-a,--all", options->all, "In all states, not only what is under way");
  command.AddCount("-n,--num-last", options->last, "At most this many, 0: all; default with -a: 10");
  command.AddFlag("-u,--all-users", options->all_users, "Of all users (admins)");
  command.AddFlag("-l,--long", options->long_form, "With children, durations, parameters and results");
  command.AddOption("--sort-by", options->sort_by, "Children of sets by a result or parameter, smallest first")
      .Type("NAME");
  command.AddFlag("--json", options->json, "Print JSON");
  command.AddFlag("-q,--quiet", options->quiet, "Print ids only");
  command.OnTyped(
      [&plan, options] { plan.action = [options](Session& session) { return Status(session, *options); }; });
}

}  // namespace riseml::cli
