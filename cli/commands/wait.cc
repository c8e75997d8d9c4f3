#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/client/experiment_state.h"
#include "cli/client/experiments.h"
#include "cli/client/live.h"
#include "cli/commands/commands.h"
#include "cli/render/state.h"
#include "cli/render/terminal.h"
#include "services/common/base/duration.h"
#include "services/common/base/status_macros.h"

namespace riseml::cli {
namespace {

struct WaitOptions {
  std::vector<std::string> ids;
  std::string timeout;
};

absl::StatusOr<absl::Duration> ReadTimeout(const std::string& text) {
  if (text.empty()) return absl::InfiniteDuration();
  const std::optional<absl::Duration> duration = ReadDuration(text);
  if (!duration)
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not a duration; write seconds, or a time with units, e.g. 1h30m"));
  if (*duration < absl::ZeroDuration()) return absl::InvalidArgumentError("the timeout must be 0 or more");
  return *duration;
}

// Returns the experiment at its end or at the deadline; nothing when the user pressed Ctrl-C.
absl::StatusOr<std::optional<v1::Experiment>> WaitForOne(Session& session, Connection& connection,
                                                         const Subject& subject, absl::Time deadline) {
  RISEML_ASSIGN_OR_RETURN(v1::Experiment now, GetExperiment(connection, subject.experiment));
  if (IsTerminal(now.state())) return now;
  RISEML_ASSIGN_OR_RETURN(Interrupts* const interrupts, session.Signals());
  Live live(connection, *interrupts);
  v1::WatchExperimentRequest request;
  request.set_name(subject.experiment);
  request.set_without_children(true);
  live.Watch(request);
  ExperimentState state(now.name());
  while (session.Now() < deadline) {
    const auto event = live.Next(std::min(deadline - session.Now(), absl::Seconds(60)));
    if (!event) continue;
    if (std::holds_alternative<Interrupted>(*event)) return std::nullopt;
    if (std::holds_alternative<ConnectionLost>(*event)) session.Tell("connection lost, reconnecting…\n");
    if (std::holds_alternative<ConnectionResumed>(*event)) session.Tell("resumed, nothing lost\n");
    if (const auto* ended = std::get_if<WatchEnded>(&*event)) {
      RISEML_RETURN_IF_ERROR(ended->status);
      return GetExperiment(connection, subject.experiment);
    }
    if (const auto* change = std::get_if<v1::WatchExperimentResponse>(&*event)) state.Apply(*change);
    if (state.IsOver()) return state.root;
  }
  return GetExperiment(connection, subject.experiment);
}

// Why the experiment has not ended yet, as far as the scheduler says so: ": needs 1 GPU, 0 free"; else empty.
std::string WhyItWaits(const v1::Experiment& experiment) {
  for (const v1::Job& job : experiment.jobs())
    if (!IsTerminal(job.state()) && !job.wait_message().empty()) return absl::StrCat(": ", OneLine(job.wait_message()));
  return "";
}

absl::StatusOr<int> Wait(Session& session, const WaitOptions& options) {
  RISEML_ASSIGN_OR_RETURN(const absl::Duration timeout, ReadTimeout(options.timeout));
  const absl::Time deadline = session.Now() + timeout;
  RISEML_ASSIGN_OR_RETURN(Connection* const connection, session.Connect());
  bool failed = false, killed = false, unknown = false;
  for (const std::string& id : options.ids.empty() ? std::vector<std::string>{""} : options.ids) {
    RISEML_ASSIGN_OR_RETURN(const Subject subject, ResolveSubject(*connection, id, "No experiments to wait for!"));
    if (subject.target.kind == Target::Kind::kJob) return absl::InvalidArgumentError("Can only wait for experiments!");
    if (!subject.note.empty()) session.Tell(absl::StrCat(subject.note, "\n"));
    RISEML_ASSIGN_OR_RETURN(const auto waited, WaitForOne(session, *connection, subject, deadline));
    if (!waited) {
      session.Tell("\nAborting...\n");
      return kExitInterrupted;
    }
    const v1::Experiment::State state = waited->state();
    session.Print(absl::StrCat(
        subject.shown, " ", StateName(state),
        IsTerminal(state) ? ""
                          : absl::StrCat(", has not ended in ", absl::FormatDuration(timeout), WhyItWaits(*waited)),
        "\n"));
    if (state == v1::Experiment::FAILED && !waited->message().empty())
      session.Tell(absl::StrCat(subject.shown, ": ", OneLine(waited->message()), "\n"));
    failed |= state == v1::Experiment::FAILED;
    killed |= state == v1::Experiment::KILLED;
    unknown |= !IsTerminal(state);
  }
  return unknown ? kExitUnknown : failed ? kExitError : killed ? kExitKilled : kExitOk;
}

}  // namespace

void AddWait(cmdline::Command app, Plan& plan) {
  cmdline::Command command =
      AddCommand(app, "wait", "Wait until experiments have ended",
                 "  riseml wait 14 15 --timeout 2h && ./evaluate.sh\n\n"
                 "Exit codes:\n"
                 "  0 all finished, 1 one failed, 3 one was killed, 4 one had not ended in time, 2 other errors");
  auto options = std::make_shared<WaitOptions>();
  command.AddOption("ids", options->ids, "Experiments or sets; default: the newest").Type("ID").Check(CheckId);
  command
      .AddOption("--timeout", options->timeout,
                 "How long to wait, in seconds or with units, e.g. 1h30m; default: for ever")
      .Type("TIME");
  command.OnTyped([&plan, options] {
    plan.error_exit = kExitOtherError;
    plan.action = [options](Session& session) { return Wait(session, *options); };
  });
}

}  // namespace riseml::cli
