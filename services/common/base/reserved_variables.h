// Environment variables with a meaning of their own: one table for all who ask whether a user may set one.
#pragma once

#include "absl/strings/string_view.h"

namespace riseml {

// True for a variable to which programs, shells, loaders or RiseML give a meaning, e.g. "LANG", "TMPDIR" and
// "LD_PRELOAD". A parameter of that name does not become a variable.
bool BelongsToJob(absl::string_view variable);

// True for a variable of which every job gets its own, e.g. "OUTPUT_DIR". `env:` and secrets may not name it.
bool EveryJobHasItsOwn(absl::string_view variable);

// True for a variable of every job that api sends to the node together with the parameters, e.g. "EXPERIMENT_ID".
bool IsSentByApi(absl::string_view variable);

// True for a variable that decides which program or library runs, e.g. "PATH". No parameter may have such a name.
bool DecidesWhatRuns(absl::string_view variable);

}  // namespace riseml
