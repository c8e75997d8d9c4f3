// The script that leads a shell through the items of an attempt. Pure: texts in, a text out.
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

// File of the plan's directory with the state before the next item.
inline constexpr char kShellState[] = "state";

using ShellVariables = std::map<std::string, std::string>;
// A state saved by a shell that was given the variables `before`, for one that was given `now`: a variable that the
// items have not changed has the value of `now`.
std::string StateWithVariables(absl::string_view state, const ShellVariables& before, const ShellVariables& now);

// Text of the driver. The shell that reads it gets no arguments.
std::string DriverScript(const DriverPlan& plan);

// The text as one word of a shell.
std::string QuoteForShell(absl::string_view text);

// One line that the driver sends to `run` through `reports`.
struct ShellReport {
  enum class Kind {
    kBegin,   // all before item `number` have succeeded; may it run? `run` answers in `next`
    kFailed,  // line `number` of the item that runs failed with `status`; 0 when the line is not the item's
  };
  Kind kind = Kind::kBegin;
  int number = 0;
  int status = 0;
};

// nullopt for anything else: a job can write what it likes.
std::optional<ShellReport> ParseShellReport(absl::string_view line);

// The line that a shell's complaint about syntax names, for a text such as "FILE: line 3: syntax error: …"; 0 for any
// other text.
int LineOfSyntaxError(absl::string_view complaint);

// The only line of an item that says `exit CODE`, for a shell that has ended with that code; 0 when there is none, or
// more than one.
int LineOfExit(absl::string_view item, int code);

}  // namespace riseml::agent
