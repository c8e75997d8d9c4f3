// Status line for a terminal while nothing else is printed.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/client/experiment_state.h"

namespace riseml::cli {

// "27.train is RUNNING, 1m 3s", or for a set "27: 3 of 16 ended, 4 running, 1m 3s"; empty once all is over.
// Experiments of other users than `caller` carry their user. Pure.
std::string LiveLine(const ExperimentState& state, absl::string_view caller, absl::Time now);

}  // namespace riseml::cli
