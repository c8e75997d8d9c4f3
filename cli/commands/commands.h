// The commands: each adds its syntax to the parser and, when it is the one that was typed, its action to the plan.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "cli/session.h"

namespace CLI {
class App;
}

namespace riseml::cli {

// What to run once everything is parsed.
struct Plan {
  Globals globals;
  std::function<absl::StatusOr<int>(Session&)> action;  // exit code; an error is printed
  int error_exit = 1;                                   // exit code of an error
};

// `plan` outlives the parsing.
void AddWhoami(CLI::App& app, Plan& plan);
void AddUser(CLI::App& app, Plan& plan);
void AddSystem(CLI::App& app, Plan& plan);
void AddInit(CLI::App& app, Plan& plan);
void AddTrain(CLI::App& app, Plan& plan);
void AddLogs(CLI::App& app, Plan& plan);
void AddKill(CLI::App& app, Plan& plan);
void AddStatus(CLI::App& app, Plan& plan);
void AddWait(CLI::App& app, Plan& plan);
void AddValidate(CLI::App& app, Plan& plan);
void AddStack(CLI::App& app, Plan& plan);       // up, down
void AddCompletion(CLI::App& app, Plan& plan);  // last: it completes all the others

// Refuses an id that is given and empty, as in `riseml kill "$id"` with nothing in the variable; for
// CLI::Option::check.
std::string CheckId(const std::string& id);

// A command whose help ends with `examples`, and that needs one of its subcommands when it is a group.
CLI::App* AddCommand(CLI::App& app, const char* name, const char* description, const char* examples);

}  // namespace riseml::cli
