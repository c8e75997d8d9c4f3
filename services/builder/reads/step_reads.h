// Finds the files of the code that an install step reads, as far as its text tells. Pure.
//
// The rule errs towards more: a name that is no file costs nothing, a missed file would leave a stale environment in
// use. A command that is not known to read only what its words name counts as a reader of everything.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// Paths are relative to the project's root and normalised ("./a//b" is "a/b"); "" is the root.
struct StepReads {
  std::set<std::string> files;         // named; a directory counts with all that it holds
  std::set<std::string> requirements;  // the same; their text may name further files
  std::set<std::string> projects;      // directories of which only what packaging reads counts (editable installs)
  std::set<std::string> outside;       // absolute paths of requirement files outside the project
  std::set<std::string> modules;       // Python modules; one that lies in the code may read all of it
  std::string everything_because;      // the command that may read the whole tree; empty: none does
};

// Returns the reads of all steps together, as a step may set the working directory of the next.
StepReads ReadsOf(const std::vector<std::string>& install_steps);

}  // namespace riseml::builder
