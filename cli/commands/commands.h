// The commands: each adds its syntax to the parser and, when it is the one that was typed, its action to the plan.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cli/session.h"
#include "services/common/cmdline/command_line.h"

namespace riseml::cli {

// The action to run once everything is parsed.
struct Plan {
  Globals globals;
  std::function<absl::StatusOr<int>(Session&)> action;  // exit code; an error is printed
  int error_exit = 1;                                   // exit code of an error
};

// `plan` outlives the parsing.
void AddWhoami(cmdline::Command app, Plan& plan);
void AddUser(cmdline::Command app, Plan& plan);
void AddSystem(cmdline::Command app, Plan& plan);
void AddInit(cmdline::Command app, Plan& plan);
void AddTrain(cmdline::Command app, Plan& plan);
void AddLogs(cmdline::Command app, Plan& plan);
void AddKill(cmdline::Command app, Plan& plan);
void AddRm(cmdline::Command app, Plan& plan);
void AddProject(cmdline::Command app, Plan& plan);
void AddRegistry(cmdline::Command app, Plan& plan);
void AddSecret(cmdline::Command app, Plan& plan);
void AddEnvironment(cmdline::Command app, Plan& plan);
void AddCode(cmdline::Command app, Plan& plan);
void AddStatus(cmdline::Command app, Plan& plan);
void AddWait(cmdline::Command app, Plan& plan);
void AddValidate(cmdline::Command app, Plan& plan);
void AddStack(cmdline::Command app, Plan& plan);       // up, down
void AddCompletion(cmdline::Command app, Plan& plan);  // last: it completes all the others

// Refuses an id that is given and empty, as in `riseml kill "$id"` with nothing in the variable; for
// cmdline::Option::Check.
std::string CheckId(const std::string& id);

// Adds a command whose help ends with `examples`.
cmdline::Command AddCommand(cmdline::Command app, const char* name, const char* description, const char* examples);

// Sets `action` as that of the plan when `command` is the one that the user typed. Returns the command.
template <class Options>
cmdline::Command Runs(cmdline::Command command, Plan& plan, const std::shared_ptr<Options>& options,
                      absl::StatusOr<int> (*action)(Session&, const Options&)) {
  command.OnTyped([&plan, options, action] {
    plan.action = [options, action](Session& session) { return action(session, *options); };
  });
  return command;
}

}  // namespace riseml::cli
