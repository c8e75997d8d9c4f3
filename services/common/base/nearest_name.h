// Finds the known name that is nearest to an unknown one.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml {

// The name of `known` with the least edit distance (Levenshtein) to `name`, without regard to case, '-' and '_'; the
// first of several. Empty if none is close: at most 3 edits, and fewer than half the characters of the longer name.
std::string NearestName(absl::string_view name, const std::vector<std::string>& known);

}  // namespace riseml
