#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/client/experiments.h"
#include "cli/commands/commands.h"
#include "cli/render/json.h"
#include "cli/render/state.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

struct KillOptions {
  std::vector<std::string> ids;
  std::string config_file;
  bool force = false;
  bool json = false;
  bool quiet = false;
};

struct Killed {
  v1::Experiment experiment;
  std::string text;  // for people
};

// "set 9".
std::string Named(const Subject& subject, const v1::Experiment& experiment) {
  return absl::StrCat(experiment.type() == v1::Experiment::SET ? "set " : "experiment ", subject.shown);
}

// An error unless `force`.
absl::StatusOr<Killed> EndedBefore(const std::string& name, v1::Experiment experiment, bool force) {
  const std::string text =
      absl::StrCat(name, experiment.state() == v1::Experiment::KILLED ? " was killed before" : " has ended already");
  if (!force) return Error(Reason::kExperimentDone, text);
  return Killed{std::move(experiment), text + "\n"};
}

absl::StatusOr<Killed> KillOne(Connection& connection, const Subject& subject, const KillOptions& options) {
  RISEML_ASSIGN_OR_RETURN(v1::Experiment before, GetExperiment(connection, subject.experiment));
  const std::string name = Named(subject, before);
  if (IsTerminal(before.state())) return EndedBefore(name, std::move(before), options.force);
  v1::KillExperimentRequest request;
  request.set_name(subject.experiment);
  request.set_request_id(NewUuid());
  auto killed = connection.Call<v1::Experiment>(
      [&](auto* context, auto* out) { return connection.experiments().KillExperiment(context, request, out); });
  if (absl::IsNotFound(killed.status())) return NoSuchExperiment(connection, subject.experiment);
  if (HasReason(killed.status(), Reason::kExperimentDone)) return EndedBefore(name, std::move(before), options.force);
  RISEML_RETURN_IF_ERROR(killed.status());
  const bool again = before.desired_state() == v1::Experiment::DESIRED_KILLED;
  return Killed{*std::move(killed),
                again ? absl::StrCat(name, " is being killed already\n") : absl::StrCat("killed ", name, "\n")};
}

absl::StatusOr<int> Kill(Session& session, const KillOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  std::vector<Subject> subjects;
  if (options.ids.empty()) {
    // Without an id, only an experiment of this project is killed.
    RISEML_ASSIGN_OR_RETURN(Subject subject, NewestUnderWay(*connection, options.config_file,
                                                            "No experiment of this project is under way!"));
    session.Tell(absl::StrCat(subject.note, "\n"));
    subjects.push_back(std::move(subject));
  }
  for (const std::string& id : options.ids) {
    RISEML_RETURN_IF_ERROR(RefuseGuess(id));
    RISEML_ASSIGN_OR_RETURN(Subject subject, ResolveSubject(*connection, id, "No experiments to kill!"));
    if (subject.target.kind == Target::Kind::kJob)
      return WithHint(absl::InvalidArgumentError("Can only kill experiments!"),
                      absl::StrCat("riseml kill ", ShownId(subject.experiment, connection->caller()),
                                   " kills the experiment of this job."));
    if (!subject.note.empty()) session.Tell(absl::StrCat(subject.note, "\n"));
    subjects.push_back(std::move(subject));
  }
  int exit_code = kExitOk;
  std::vector<v1::Experiment> all;
  for (const Subject& subject : subjects) {
    auto killed = KillOne(*connection, subject, options);
    if (!killed.ok()) {
      // The other experiments are still killed.
      if (subjects.size() == 1 || IsUnreachable(killed.status())) return killed.status();
      session.Tell(ErrorText(While(subject.shown, killed.status())));
      exit_code = kExitError;
      continue;
    }
    if (options.quiet) {
      session.Print(absl::StrCat(subject.shown, "\n"));
    } else if (!options.json) {
      session.Print(killed->text);
    }
    all.push_back(std::move(killed->experiment));
  }
  if (options.json) session.Print(JsonObject().Many("experiments", all).Text());
  return exit_code;
}

}  // namespace

void AddKill(cmdline::Command app, Plan& plan) {
  cmdline::Command command = AddCommand(
      app, "kill", "Stop experiments or sets",
      "  riseml kill            the newest experiment of this project that is under way\n"
      "  riseml kill -f big.yml the newest of the project in big.yml\n"
      "  riseml kill 14 15.2    experiment 14 and child 2 of set 15\n\n"
      "One that has ended, or was killed before, is an error (exit code 1) unless --force is given. One that\n"
      "is being killed is none.");
  auto options = std::make_shared<KillOptions>();
  const cmdline::Option ids =
      command
          .AddOption("ids", options->ids, "Experiments or sets; default: the newest of this project that is under way")
          .Type("ID")
          .Check(CheckId);
  command
      .AddOption("-f,--config-file", options->config_file, "Configuration that tells the project; default: riseml.yml")
      .Type("FILE")
      .Excludes(ids);
  command.AddFlag("--force", options->force, "Succeed also for experiments that have ended or were killed before");
  command.AddFlag("--json", options->json, "Print JSON");
  command.AddFlag("-q,--quiet", options->quiet, "Print ids only");
  Runs(command, plan, options, Kill);
}

}  // namespace riseml::cli
