// Environment variables that no parameter of an experiment replaces.
#pragma once

#include "absl/strings/string_view.h"

namespace riseml {

// True for a variable to which programs, shells, loaders or RiseML give a meaning, e.g. "LANG", "TMPDIR" and
// "LD_PRELOAD". A parameter of that name does not become a variable.
bool BelongsToJob(absl::string_view variable);

}  // namespace riseml
