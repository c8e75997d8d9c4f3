// The file `riseml init` writes.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::spec {

// A commented riseml.yml that ParseSpec accepts. `project` must be a project name (IsProjectName).
std::string InitTemplate(absl::string_view project);

// A project name made of a directory's name: other characters become '-'; "project" when too little is left.
std::string ProjectNameFrom(absl::string_view directory);

}  // namespace riseml::spec
