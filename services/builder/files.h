// Which files of the code an install step reads, as far as its text tells. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// What a step names. The rule errs towards more: a name that is no file costs nothing, a missed file would leave a
// stale environment in use.
struct NamedFiles {
  // Relative paths, normalised ("./a//b" is "a/b"), sorted, each once.
  std::vector<std::string> paths;
  // Those of `paths` that stand for a directory when they are no file ("./package"): then the whole tree counts.
  std::vector<std::string> paths_or_directories;
  // The step reads the whole tree ("pip install .", "-e .", "python setup.py install", "cd x && …").
  bool whole_tree = false;
};

// Words that look like relative paths, values of options included ("-r FILE", "-rFILE", "--requirement=FILE"). Not
// followed: files named inside other files.
NamedFiles FilesOf(absl::string_view install_step);

// The program that a process environment cannot offer ("apt-get", "conda" …) when a command of the step starts with
// one; otherwise empty.
std::string SystemPackageTool(absl::string_view install_step);

}  // namespace riseml::builder
