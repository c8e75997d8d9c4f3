// Programs of RiseML that every job finds on its PATH, whatever environment it has.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace riseml::agent {

// Directory of these programs, below the control directory of the attempt. It is not the `bin` beside it: that holds a
// `python`, which must not be found behind an environment's.
inline constexpr char kToolsDirectory[] = "tools";

// Writes the programs. `agent` is the path of this program as the job sees it. May be done again.
absl::Status PlaceJobTools(const std::string& control, const std::string& agent);

}  // namespace riseml::agent
