#include "cli/app.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/client/errors.h"
#include "cli/commands/commands.h"
#include "cli/session.h"
#include "cli/version.h"

namespace riseml::cli {
namespace {

constexpr char kFooter[] =
    "Exit codes:\n"
    "  0 success, 1 error, 130 interrupted\n"
    "  train -l: 0 finished, 1 failed, 3 killed\n"
    "  wait: 0 finished, 1 failed, 3 killed, 4 unknown, 2 other errors\n"
    "\nThe configuration is $RISEML_CONFIG, else ~/.riseml/config.\n";

void Build(CLI::App& app, Plan& plan) {
  app.require_subcommand(0, 1);
  app.footer(kFooter);
  app.get_formatter()->column_width(34);
  app.set_help_flag("-h,--help", "Show help and exit");
  app.set_version_flag("-V,--version", absl::StrCat("RiseML CLI ", kVersion), "Show the version and exit");
  app.add_flag("-v", plan.globals.verbose, "Show the addresses of the servers, then run the command");
  app.add_option("--context", plan.globals.context, "Context of the configuration; default: the current one")
      ->type_name("NAME");
  AddWhoami(app, plan);
  AddUser(app, plan);
  AddSystem(app, plan);
  AddInit(app, plan);
  AddTrain(app, plan);
  AddLogs(app, plan);
  AddKill(app, plan);
  AddStatus(app, plan);
  AddWait(app, plan);
  AddValidate(app, plan);
  AddStack(app, plan);
  AddCompletion(app, plan);
}

// Help of the innermost group that was typed.
std::string Usage(const CLI::App& app) {
  const auto typed = app.get_subcommands();
  return typed.empty() ? app.help() : typed.front()->help(absl::StrCat(app.get_name()));
}

int Run(Session& session, const Plan& plan) {
  absl::StatusOr<int> exit_code = plan.action(session);
  if (exit_code.ok() && !session.output_status().ok()) exit_code = session.output_status();
  if (exit_code.ok()) return *exit_code;
  session.Tell(ErrorText(exit_code.status()));
  return plan.error_exit;
}

}  // namespace

CLI::App* AddCommand(CLI::App& app, const char* name, const char* description, const char* examples) {
  CLI::App* command = app.add_subcommand(name, description);
  command->footer(absl::StrCat("Examples:\n", examples, "\n"));
  command->fallthrough(false);
  return command;
}

std::string CheckId(const std::string& id) {
  return id.empty() ? "the id is empty; leave it out to mean the newest experiment" : "";
}

int Main(int argc, char** argv) {
  // A reader that went away (`riseml logs | head`) ends the program quietly, whatever the parent has set.
  signal(SIGPIPE, SIG_DFL);
  CLI::App app("Trains machine learning models on a cluster or on this machine.", "riseml");
  Plan plan;
  Build(app, plan);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      // --help and --version end the parsing too.
      std::ostringstream out;
      app.exit(error, out, out);
      Session session({});
      session.Print(out.str());
      return session.output_status().ok() ? kExitOk : kExitError;
    }
    std::string command = "riseml";
    for (auto typed = app.get_subcommands(); !typed.empty(); typed = typed.front()->get_subcommands())
      absl::StrAppend(&command, " ", typed.front()->get_name());
    Session({}).Tell(absl::StrCat("ERROR: ", error.what(), "\n       See: ", command, " --help\n"));
    return command == "riseml wait" ? kExitOtherError : kExitError;
  }
  Session session(plan.globals);
  if (!plan.action) {
    session.Print(Usage(app));
    return kExitOk;
  }
  return Run(session, plan);
}

}  // namespace riseml::cli
