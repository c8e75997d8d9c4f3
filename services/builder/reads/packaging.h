// Finds the files that a project's packaging files name: pyproject.toml, setup.py, setup.cfg, requirement files, lock
// files. Pure. Like step_reads.h, it names too many files rather than too few.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// Names of the files that packaging reads in the directory of a project.
std::vector<std::string> PackagingFiles();

// Paths are relative to the project's root and normalised.
struct NamedThings {
  std::set<std::string> requirements;  // further requirement, constraint or lock files
  std::set<std::string> files;         // installed or read; a directory counts with all that it holds
  std::set<std::string> perhaps;       // as `files`, but a directory does not count
  std::set<std::string> projects;      // directories with a project that is installed editable
  std::set<std::string> members;       // directories whose subdirectories may be such projects
  std::string everything_because;      // why an edit of any file of the project may change what is built; may be empty
};

// Returns the things that a requirement or constraint file at `path` names: -r and -c relative to its own directory;
// -e, wheels and directories relative to that and to the root. Accepts conda's lists with an indented `pip:` too.
NamedThings NamedInRequirements(absl::string_view path, absl::string_view text);

// Returns the things that a packaging file in `directory` names: a readme, a file with the version, local
// dependencies.
NamedThings NamedInPackaging(absl::string_view directory, absl::string_view file, absl::string_view text);

}  // namespace riseml::builder
