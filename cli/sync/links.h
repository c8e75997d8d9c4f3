// Computes the targets of a project's symbolic links from their text alone. Pure.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace riseml::sync {

// The path, relative to the project, that the link at `path` names; "" is the project itself. Absent when it leads out
// of the project or is absolute. A name before ".." counts as a directory, although it may be a link.
std::optional<std::string> ResolveInside(absl::string_view path, absl::string_view target);

}  // namespace riseml::sync
