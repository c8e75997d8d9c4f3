// Explains why a command failed, from its exit code and its last output, and suggests what to write instead. Pure,
// except for LookAtScript.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::agent {

// Facts about the script that a command runs.
struct ScriptFacts {
  std::string name;   // as in the command; empty: it runs no existing script of the project
  std::string start;  // its first bytes
  bool executable = false;
  bool interpreter_exists = true;  // the program that its first line names
};

struct Failure {
  absl::string_view line;    // the command, or the line of it that failed
  absl::string_view output;  // the end of its output
  int exit_code = 0;
  ScriptFacts script;
};

// Name of the script that a line runs by itself or with a shell, such as "./train.sh", "bash train.sh", ". env.sh";
// empty when there is none.
std::string ScriptOf(absl::string_view line);

// Looks at a script; `directory` is where relative names begin.
ScriptFacts LookAtScript(absl::string_view directory, absl::string_view name);

// One sentence without a final full stop (it may end in a question mark); empty when nothing is known.
std::string HintAt(const Failure& failure);

// True if the last output suggests that the code or a package is for another version of Python.
bool MayBeForAnotherPython(absl::string_view output);

}  // namespace riseml::agent
