// Script that makes a shell run the items of an attempt. Pure.
//
// One shell runs all items, so that variables, working directory, functions and activation carry over. Each item is a
// file of its own that the shell reads with `.`. Between two items the shell asks `run` through a pipe whether to go
// on. A shell that ends with code 0 before the last item (`exit 0`, `exec program`) ends only its item: the next shell
// takes over the state that the driver saved.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace riseml::agent {

enum class ShellKind {
  kBash,   // -eo pipefail; failing lines are known
  kPosix,  // -e, and pipefail where the shell has it
};

// Input of the driver. Items are numbered from 1.
struct DriverPlan {
  ShellKind kind = ShellKind::kBash;
  std::string directory;  // holds item N as the file "N", the pipes `reports` and `next`, and `state`
  int first = 1;
  int last = 1;
};

// File in the plan's directory that holds the state before the next item.
inline constexpr char kShellState[] = "state";

using ShellVariables = std::map<std::string, std::string>;
// Adapts a state that was saved by a shell with the variables `before` to a shell with the variables `now`: variables
// that the items have not changed get their values from `now`.
std::string StateWithVariables(absl::string_view state, const ShellVariables& before, const ShellVariables& now);

// Text of the driver. The shell that reads it gets no arguments.
std::string DriverScript(const DriverPlan& plan);

// Quotes the text as one word for a shell.
std::string QuoteForShell(absl::string_view text);

// One line that the driver sends to `run` through `reports`.
struct ShellReport {
  enum class Kind {
    kBegin,   // asks whether item `number` may run, as all before succeeded; `run` answers in `next`
    kFailed,  // line `number` of the running item failed with `status`; 0: the line is not the item's
  };
  Kind kind = Kind::kBegin;
  int number = 0;
  int status = 0;
};

// nullopt for any other text, since a job can write anything to the pipe.
std::optional<ShellReport> ParseShellReport(absl::string_view line);

// Returns the line number in a shell's message about a syntax error, such as "FILE: line 3: syntax error: …"; 0 for any
// other text.
int LineOfSyntaxError(absl::string_view complaint);

// Returns the line of an item that says `exit CODE`, for a shell that has ended with `code`; 0 if there is none or more
// than one.
int LineOfExit(absl::string_view item, int code);

}  // namespace riseml::agent
