// Splits a text for the shell into its commands, without running anything. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// A word with its quotes removed.
struct Word {
  std::string text;       // a variable or the output of a command appears as "$" plus its name, or as "$"
  bool expands = false;   // has a `$` whose value only the shell knows
  bool globs = false;     // has an unquoted * or ?, or a [
  bool is_input = false;  // follows a <
};

// A simple command: words up to ; & | ( ) or the end of a line.
struct ShellCommand {
  std::vector<Word> words;
  std::string here_document;  // text that is its standard input
};

// Returns all commands of `text`, including those in $(…) and `…`, in the order in which they begin. Leaves out
// comments and the targets of >. Replaces $PWD and /code, where a job finds the project, with ".".
std::vector<ShellCommand> SplitCommands(absl::string_view text);

// Name of a program without its directory.
absl::string_view BaseName(absl::string_view path);

// Turns a path or file URL of the project's own directory, such as file:///code/lib, into one that begins with ".".
void RelocateProject(std::string* text);

// True for NAME=value.
bool IsAssignment(absl::string_view word);

// Relative `path` as seen from `directory`, normalised; false when it leaves the project.
bool Locate(absl::string_view directory, absl::string_view path, std::string* located);

}  // namespace riseml::builder
