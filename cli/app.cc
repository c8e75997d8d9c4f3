#include "cli/app.h"

#include <signal.h>

#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/client/errors.h"
#include "cli/client/prompt.h"
#include "cli/commands/commands.h"
#include "cli/session.h"
#include "cli/version.h"

namespace riseml::cli {
namespace {

constexpr char kFooter[] =
    "Exit codes:\n"
    "  0 success, 1 error, 130 interrupted\n"
    "  train -l: 0 finished, 1 failed, 3 killed\n"
    "  wait: 0 finished, 1 failed, 3 killed, 4 not ended in time, 2 other errors\n"
    "\nThe configuration is $RISEML_CONFIG, else ~/.riseml/config.\n";

void Build(cmdline::Command app, Plan& plan) {
  app.RequireCommand(/*optional=*/true);
  app.Footer(kFooter);
  app.AddVersion("-V,--version", absl::StrCat("RiseML CLI ", kVersion));
  app.AddFlag("-v", plan.globals.verbose, "Show the addresses of the servers, then run the command");
  app.AddOption("--context", plan.globals.context, "Context of the configuration; default: the current one")
      .Type("NAME");
  // In the order in which people meet them.
  AddStack(app, plan);
  AddInit(app, plan);
  AddValidate(app, plan);
  AddTrain(app, plan);
  AddStatus(app, plan);
  AddLogs(app, plan);
  AddKill(app, plan);
  AddWait(app, plan);
  AddCode(app, plan);
  AddRm(app, plan);
  AddProject(app, plan);
  AddSecret(app, plan);
  AddRegistry(app, plan);
  AddEnvironment(app, plan);
  AddUser(app, plan);
  AddWhoami(app, plan);
  AddSystem(app, plan);
  AddCompletion(app, plan);
}

int Run(Session& session, const Plan& plan) {
  absl::StatusOr<int> exit_code = plan.action(session);
  if (exit_code.ok() && !session.output_status().ok()) exit_code = session.output_status();
  if (exit_code.ok()) return *exit_code;
  session.Tell(ErrorText(exit_code.status()));
  return IsInterrupted(exit_code.status()) ? kExitInterrupted : plan.error_exit;
}

}  // namespace

cmdline::Command AddCommand(cmdline::Command app, const char* name, const char* description, const char* examples) {
  cmdline::Command command = app.AddCommand(name, description);
  command.Footer(absl::StrCat("Examples:\n", examples, "\n"));
  return command;
}

std::string CheckId(const std::string& id) {
  return id.empty() ? "the id is empty; leave it out to mean the newest experiment" : "";
}

int Main(int argc, char** argv) {
  // A reader that went away (`riseml logs | head`) ends the program quietly, whatever the parent has set.
  signal(SIGPIPE, SIG_DFL);
  cmdline::CommandLine command_line("riseml", "Trains machine learning models on a cluster or on this machine.");
  Plan plan;
  Build(command_line.root(), plan);
  const cmdline::Parsed parsed = command_line.Parse(argc, argv);
  if (parsed.kind == cmdline::Parsed::Kind::kError) {
    Session({}).Tell(absl::StrCat("ERROR: ", parsed.text, "\n       See: ", parsed.command, " --help\n"));
    return parsed.command == "riseml wait" ? kExitOtherError : kExitError;
  }
  if (parsed.kind == cmdline::Parsed::Kind::kInformation || !plan.action) {
    Session session({});
    session.Print(parsed.kind == cmdline::Parsed::Kind::kInformation ? parsed.text : command_line.Help());
    return session.output_status().ok() ? kExitOk : kExitError;
  }
  Session session(plan.globals);
  return Run(session, plan);
}

}  // namespace riseml::cli
