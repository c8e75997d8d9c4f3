#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/client/experiments.h"
#include "cli/client/git_state.h"
#include "cli/client/project.h"
#include "cli/client/target.h"
#include "cli/client/wait_notice.h"
#include "cli/commands/commands.h"
#include "cli/commands/dry_run.h"
#include "cli/commands/follow.h"
#include "cli/commands/spec_file.h"
#include "cli/render/format.h"
#include "cli/render/spec_view.h"
#include "cli/render/sync_view.h"
#include "cli/sync/push.h"
#include "cli/version.h"
#include "riseml/v1/file.grpc.pb.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/utf8.h"
#include "services/common/git/tree.h"
#include "services/common/spec/features.h"
#include "services/common/spec/names.h"
#include "services/common/spec/parse.h"

namespace riseml::cli {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);

struct TrainOptions {
  std::string file = "riseml.yml";
  bool logs = false;
  bool quiet = false;
  bool dry_run = false;
  bool rebuild = false;
  std::string name;
  std::string description;
  std::vector<std::string> labels;
  std::vector<std::string> env;
  std::vector<std::string> inputs;
};

absl::StatusOr<SpecFile> ReadRunnable(const std::string& path) {
  RISEML_ASSIGN_OR_RETURN(SpecFile file, ReadSpecFile(path));
  RISEML_RETURN_IF_ERROR(spec::RequireTrain(file.spec, path));
  if (const absl::Status status = spec::CheckRunnable(*file.spec.train); !status.ok()) {
    return Error(Reason::kUnsupported, absl::StrCat("invalid config ", path, "\n", status.message()));
  }
  return file;
}

absl::Status AddLabels(const std::vector<std::string>& labels, v1::CreateExperimentRequest* request) {
  for (const std::string& label : labels) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(label, absl::MaxSplits('=', 1));
    if (parts.first.empty() || label.find('=') == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("--label '", label, "' must have the form KEY=VALUE"));
    }
    (*request->mutable_labels())[parts.first] = parts.second;
  }
  return absl::OkStatus();
}

// Adds "NAME=VALUE", or "NAME" with the value in this shell.
absl::Status AddEnv(const std::vector<std::string>& env, v1::CreateExperimentRequest* request) {
  for (const std::string& variable : env) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(variable, absl::MaxSplits('=', 1));
    const auto& [name, value] = parts;
    RISEML_RETURN_IF_ERROR(While(absl::StrCat("--env ", name), spec::CheckVariableName(name)));
    if (variable.find('=') != std::string::npos) {
      (*request->mutable_env())[name] = value;
      continue;
    }
    const char* const own = std::getenv(name.c_str());
    if (own == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("--env ", name, ": this shell has no variable ", name,
                                                     "; export it, or write --env ", name, "=VALUE"));
    }
    (*request->mutable_env())[name] = own;
  }
  return absl::OkStatus();
}

// Reads options "NAME=ID"; the id may also be symbolic, such as @last.
absl::StatusOr<std::map<std::string, std::string>> ReadInputs(const std::vector<std::string>& inputs) {
  std::map<std::string, std::string> out;
  for (const std::string& input : inputs) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(input, absl::MaxSplits('=', 1));
    const auto& [name, id] = parts;
    if (name.empty() || id.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--input '", input, "' must have the form NAME=ID, e.g. --input model=26.3"));
    }
    RISEML_RETURN_IF_ERROR(While(absl::StrCat("--input ", name), spec::CheckInputName(name)));
    RISEML_RETURN_IF_ERROR(While(absl::StrCat("--input ", name), ParseTarget(id).status()));
    if (!out.emplace(name, id).second)
      return absl::InvalidArgumentError(absl::StrCat("--input ", name, " is given twice; leave one of them out"));
  }
  return out;
}

absl::Status AddInputs(Session& session, Connection& connection, const std::map<std::string, std::string>& inputs,
                       v1::CreateExperimentRequest* request) {
  for (const auto& [name, id] : inputs) {
    const auto subject = ResolveSubject(connection, id, "there is no experiment yet");
    RISEML_RETURN_IF_ERROR(While(absl::StrCat("--input ", name), subject.status()));
    if (!subject->note.empty()) session.Tell(absl::StrCat("--input ", name, ": ", subject->note, "\n"));
    if (subject->target.kind == Target::Kind::kJob) {
      return absl::InvalidArgumentError(
          absl::StrCat("--input ", name, ": ", id, " is a job; name its experiment: its jobs share one output"));
    }
    // Fails before the upload; api checks again.
    RISEML_RETURN_IF_ERROR(
        While(absl::StrCat("--input ", name), GetExperiment(connection, subject->experiment).status()));
    (*request->mutable_inputs())[name] = subject->experiment;
  }
  return absl::OkStatus();
}

absl::StatusOr<sync::SyncOutcome> Sync(Session& session, Connection& connection, const SpecFile& file,
                                       const std::string& root, bool quiet) {
  RISEML_ASSIGN_OR_RETURN(const v1::ClusterInfo cluster, connection.Cluster());
  const std::shared_ptr<grpc::Channel> channel = connection.Channel(cluster.gitsync_address());
  const auto stub = v1::FileService::NewStub(channel);
  const bool redraw = session.out().tty && !quiet;
  const auto draw = [&session](absl::string_view line) {
    session.Print(absl::StrCat("\r", FirstColumns(line, session.out().width - 1), "\x1b[K"));
  };
  std::string title;
  sync::PushOptions options = {
      .project = Print(ProjectName{connection.caller(), file.spec.project}),
      .credential = connection.config().api_key,
      .request_id = NewUuid(),
      .channel = channel,
      .waiting = [&cluster] { return std::make_shared<WaitNotice>("sync service", cluster.gitsync_address()); }};
  if (redraw) {
    options.progress = [&session, &title, &draw, drawn = absl::InfinitePast()](std::int64_t done,
                                                                               std::int64_t total) mutable {
      if (total == 0 || session.Now() - drawn < kRedraw) return;
      drawn = session.Now();
      draw(absl::StrCat(title, " ", Size(done), " of ", Size(total), " sent"));
    };
  }
  bool told = false;
  const auto before_push = [&](const sync::Snapshot& snapshot, const sync::UploadSize& upload) {
    if (!told) {
      if (!quiet) session.Tell(SyncNotes(snapshot, upload));
      RISEML_RETURN_IF_ERROR(CheckNames(session, file, snapshot));
    }
    // Where lines cannot be redrawn, the title of the first round stays.
    if (redraw || !told) title = SyncTitle(snapshot, upload);
    if (redraw) {
      draw(title);
    } else if (!told && !quiet) {
      session.Print(title);
    }
    told = true;
    return absl::OkStatus();
  };
  SystemClock clock;
  sync::SnapshotOptions snapshot;
  snapshot.root = root;
  snapshot.clock = &clock;
  auto outcome = sync::SyncProject(*stub, options, snapshot, before_push);
  if (!outcome.ok()) {
    if (told && !quiet) session.Print("\n");
    const absl::Status& status = outcome.status();
    const absl::Status told_status = absl::IsUnavailable(status) ? status : While("cannot sync the project", status);
    return WithCall(told_status, "sync service", cluster.gitsync_address(), options.request_id);
  }
  if (!quiet) {
    const std::string end = absl::EndsWith(title, "...") ? "done" : "";
    session.Print(redraw ? absl::StrCat("\r", title, end, "\x1b[K\n") : absl::StrCat(end, "\n"));
    session.Tell(MovingNotes(outcome->still_moving));
  }
  return outcome;
}

absl::Status TellNewProject(Session& session, Connection& connection, const SpecFile& file) {
  v1::GetProjectRequest request;
  request.set_name(Print(ProjectName{connection.caller(), file.spec.project}));
  RISEML_ASSIGN_OR_RETURN(const v1::Project made, connection.Call<v1::Project>([&](auto* context, auto* out) {
    return connection.projects().GetProject(context, request, out);
  }));
  session.Print(absl::StrCat("project created: ", file.spec.project, " (", OneLine(made.uid()), ")\n"));
  return absl::OkStatus();
}

// Replaces the names of fields in an error of api by those of our options.
absl::Status InWordsOfOptions(const absl::Status& status) {
  static const std::map<std::string, std::string> options = {
      {"display_name", "--name"}, {"description", "--description"}, {"labels", "--label"}};
  for (const FieldViolation& violation : ViolationsOf(status)) {
    if (const auto option = options.find(violation.field); option != options.end())
      return Error(Reason::kInvalidArgument, absl::StrCat(option->second, ": ", violation.description));
  }
  return status;
}

absl::Status CheckTexts(const TrainOptions& options) {
  std::vector<std::string> texts = {options.name, options.description};
  texts.insert(texts.end(), options.labels.begin(), options.labels.end());
  texts.insert(texts.end(), options.env.begin(), options.env.end());
  texts.insert(texts.end(), options.inputs.begin(), options.inputs.end());
  for (const std::string& text : texts) {
    if (!IsValidUtf8(text))
      return absl::InvalidArgumentError(absl::StrCat(
          "--name, --description, --label, --env and --input must be UTF-8, unlike '", git::Printable(text), "'"));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Train(Session& session, const TrainOptions& options) {
  RISEML_RETURN_IF_ERROR(CheckTexts(options));
  RISEML_ASSIGN_OR_RETURN(const SpecFile file, ReadRunnable(ConfigPath(options.file)));
  RISEML_ASSIGN_OR_RETURN(const std::string root, ProjectRoot(file.path));
  RISEML_ASSIGN_OR_RETURN(const auto inputs, ReadInputs(options.inputs));
  if (options.dry_run) return DryRun(session, file, root, inputs);
  v1::CreateExperimentRequest request;
  RISEML_RETURN_IF_ERROR(AddLabels(options.labels, &request));
  RISEML_RETURN_IF_ERROR(AddEnv(options.env, &request));
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  RISEML_RETURN_IF_ERROR(AddInputs(session, *connection, inputs, &request));
  if (!options.quiet) {
    session.Print(absl::StrCat(PlanText(file.spec), "\n", DirectoryText(file, root), "\n"));
  }
  RISEML_ASSIGN_OR_RETURN(const v1::ClusterInfo cluster, connection->Cluster());
  TellDoubts(session, file.spec, {.inputs = inputs, .containers = cluster.containers(), .quiet = options.quiet});
  // Git may take a moment to look for changes; the upload runs meanwhile.
  absl::StatusOr<std::optional<v1::GitState>> git;
  std::jthread git_reader([&git, root] { git = ReadGitState(root); });
  RISEML_ASSIGN_OR_RETURN(const sync::SyncOutcome synced, Sync(session, *connection, file, root, options.quiet));
  git_reader.join();
  if (!git.ok() && !options.quiet) {
    session.Tell(absl::StrCat("NOTE: the commit of your repository is not recorded: ", git.status().message(), "\n"));
  }
  if (git.ok() && *git) *request.mutable_git() = **git;
  const v1::PushResponse& pushed = synced.push.response;
  if (pushed.project_created() && !options.quiet) RISEML_RETURN_IF_ERROR(TellNewProject(session, *connection, file));
  RISEML_ASSIGN_OR_RETURN(const RevisionName revision, ParseRevisionName(pushed.revision().name()));
  request.set_parent(Print(UserName{connection->caller()}));
  request.set_project(file.spec.project);
  request.set_revision(revision.commit);
  request.set_config_text(file.text);
  request.set_request_id(NewUuid());
  request.set_client_version(kVersion);
  request.set_rebuild(options.rebuild);
  request.set_display_name(options.name);
  request.set_description(options.description);
  const auto create = [&](auto* context, auto* out) {
    return connection->experiments().CreateExperiment(context, request, out);
  };
  // The base image is looked up in its registry, which may be far away.
  const auto created = cluster.containers() ? connection->CallAtLength<v1::Experiment>("looking up the image…", create)
                                            : connection->Call<v1::Experiment>(create);
  RISEML_RETURN_IF_ERROR(InWordsOfOptions(created.status()));
  const v1::Experiment& experiment = *created;
  const std::string id = ShownId(experiment.name(), connection->caller());
  if (options.quiet) {
    session.Print(absl::StrCat(id, "\n"));
    if (!options.logs) return kExitOk;
    return FollowToTheEnd(session, *connection, experiment);
  }
  session.Print(absl::StrCat(experiment.type() == v1::Experiment::SET ? "Started set " : "Started experiment ", id,
                             " in background...\n"));
  if (options.logs) return FollowToTheEnd(session, *connection, experiment);
  session.Print(absl::StrCat("Type `riseml logs ", id, "` to connect to log stream.\nType `riseml status ", id,
                             "` to see its state, `riseml kill ", id, "` to stop it.\n"));
  return kExitOk;
}

}  // namespace

void AddTrain(cmdline::Command app, Plan& plan) {
  cmdline::Command command = AddCommand(
      app, "train", "Send the project and start an experiment, or a set with one for each combination of parameters",
      "  riseml train\n"
      "  riseml train -l                          and follow it until it ends\n"
      "  riseml train -f sweep.yml --label owner=paul\n"
      "  riseml train --input model=26.3          reads the output of 26.3 at /inputs/model\n"
      "  riseml train --dry-run                   what would be uploaded\n"
      "  id=$(riseml train -q) && riseml wait $id");
  auto options = std::make_shared<TrainOptions>();
  command
      .AddOption("-f,--config-file", options->file,
                 "Configuration; the project is the nearest directory upwards with riseml.yml or .git")
      .Type("FILE")
      .ShowDefault();
  command.AddFlag("-l,--logs", options->logs, "Follow the log; exit code 0 finished, 1 failed, 3 killed");
  command.AddOption("--name", options->name, "Display name").Type("TEXT");
  command.AddOption("--description", options->description, "Description").Type("TEXT");
  command.AddOption("--label", options->labels, "Label; may be given several times").Type("KEY=VALUE");
  command
      .AddOption("--env", options->env,
                 "Set a variable; NAME alone copies it from this shell; may be given several times")
      .Type("NAME[=VALUE]");
  command
      .AddOption("--input", options->inputs,
                 "Output of an experiment that has ended, read-only at /inputs/NAME; may be given several times")
      .Type("NAME=ID");
  command.AddFlag("--dry-run", options->dry_run, "List what would be uploaded or left out, and why; send nothing");
  command.AddFlag("--rebuild", options->rebuild, "Rebuild the environment even if one exists");
  command.AddFlag("-q,--quiet", options->quiet, "Print only the id; warnings go to standard error");
  Runs(command, plan, options, Train);
}

}  // namespace riseml::cli
