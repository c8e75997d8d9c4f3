// Finds the files of a project that a command reads, as far as its text tells. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::sync {

// Relative paths that a command or an install step names and does not write, normalised, each once, in order:
// "python -m src.train --config=c.yml > log" names src/train.py, src/train/__main__.py and c.yml. Words with variables,
// wildcards or placeholders are left out.
std::vector<std::string> NamedFiles(absl::string_view command);

}  // namespace riseml::sync
