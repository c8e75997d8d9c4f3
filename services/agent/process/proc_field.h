// Reads files of /proc that have a line for each value, e.g. /proc/meminfo.
#pragma once

#include "absl/strings/string_view.h"

namespace riseml::agent {

// Returns the value of the first line "NAME: value" or "NAME : value" of `text`, without spaces around it; empty if
// there is none.
absl::string_view ProcField(absl::string_view text, absl::string_view name);

}  // namespace riseml::agent
