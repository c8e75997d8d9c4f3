// Programs of install steps that manage more than a Python environment. Pure.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// Returns the program at the start of a command of the step that a process environment cannot offer ("apt-get" …);
// otherwise empty.
std::string SystemPackageTool(absl::string_view install_step);

// The program of conda's family ("conda", "mamba" …) that a command of the step starts with; otherwise empty.
std::string CondaTool(absl::string_view install_step);

}  // namespace riseml::builder
