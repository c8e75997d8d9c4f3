#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/client/experiments.h"
#include "cli/commands/commands.h"
#include "cli/commands/log_session.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

struct LogsOptions {
  std::string id;
  bool follow = false;
  bool no_follow = false;
  std::int64_t tail = -1;  // -1: not given
  std::int64_t since_offset = 0;
  bool raw = false;
  bool no_color = false;
  bool timestamps = false;
};

absl::StatusOr<int> Logs(Session& session, const LogsOptions& options) {
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  RISEML_ASSIGN_OR_RETURN(const Subject subject, ResolveSubject(*connection, options.id, "No experiments to show!"));
  if (!subject.note.empty()) session.Tell(absl::StrCat(subject.note, "\n"));
  LogRequest request = {.experiment = subject.experiment,
                        .from_offset = options.since_offset,
                        .no_follow = options.no_follow,
                        .raw = options.raw,
                        .color = !options.no_color,
                        .timestamps = options.timestamps};
  if (options.tail >= 0) request.tail_lines = options.tail;
  // The canonical name: a UUID may have been typed.
  RISEML_ASSIGN_OR_RETURN(const v1::Experiment experiment, GetExperiment(*connection, subject.experiment));
  request.experiment = experiment.name();
  if (subject.target.kind == Target::Kind::kJob)
    request.job = absl::StrCat(experiment.name(), "/jobs/", subject.target.job);
  if (options.raw && request.job.empty()) {
    if (experiment.type() == v1::Experiment::SET) {
      return absl::InvalidArgumentError(absl::StrCat("--raw shows one job, but ", subject.shown,
                                                     " is a set; name a job, e.g. ", subject.shown, ".1.train"));
    }
    request.job = absl::StrCat(experiment.name(), "/jobs/train");
  }
  RISEML_ASSIGN_OR_RETURN(Interrupts* const interrupts, session.Signals());
  Live live(*connection, *interrupts);
  ExperimentState state(experiment.name());
  if (!options.raw) {
    v1::WatchExperimentRequest watch;
    watch.set_name(experiment.name());
    watch.set_without_children(!request.job.empty());
    live.Watch(watch);
  }
  RISEML_ASSIGN_OR_RETURN(const LogShown shown, ShowLog(session, *connection, live, request, state));
  if (shown == LogShown::kAll) return kExitOk;
  if (shown == LogShown::kDamaged) return kExitError;
  TellDetached(session, request.job.empty() ? request.experiment : request.job);
  return kExitInterrupted;
}

}  // namespace

void AddLogs(cmdline::Command app, Plan& plan) {
  cmdline::Command command =
      AddCommand(app, "logs", "Show the log of an experiment, set or job, and follow it until it ends",
                 "  riseml logs              newest experiment of this project\n"
                 "  riseml logs 14 -n 100    from the last 100 lines of each job on\n"
                 "  riseml logs 14 --raw     exactly the bytes of the log of job 14.train, as stored\n"
                 "  riseml logs 14.3.train --no-follow");
  auto options = std::make_shared<LogsOptions>();
  command.AddOption("id", options->id, "Experiment, set or job; default: the newest experiment")
      .Type("ID")
      .Check(CheckId);
  const cmdline::Option follow =
      command.AddFlag("-f,--follow", options->follow, "Wait for more until the end; this is the default");
  command.AddFlag("--no-follow", options->no_follow, "Stop at the present end").Excludes(follow);
  const cmdline::Option tail =
      command.AddCount("-n,--tail", options->tail, "Begin with the last N lines; 0: only what is new");
  command.AddCount("--since-offset", options->since_offset, "Begin at this byte").Type("BYTES").Excludes(tail);
  command.AddFlag(
      "--raw", options->raw,
      "The stored bytes: what the job printed, and RiseML's own lines (==> …); of an experiment: its train job");
  command.AddFlag("--no-color", options->no_color, "Without colours");
  command.AddFlag("--timestamps", options->timestamps, "With the time of each line");
  Runs(command, plan, options, Logs);
}

}  // namespace riseml::cli
