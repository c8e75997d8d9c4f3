// Parameters: the combinations they span, and how each job gets its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/spec/spec.h"

namespace riseml::spec {

// Name and value of every parameter of one job, sorted by name.
using Combination = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::int64_t kMostCombinations = 10'000;

// Product of the numbers of values, 1 without parameters; kMostCombinations + 1 stands for any larger number.
std::int64_t CombinationCount(const Train& train);

// All combinations, in the order the experiments are numbered: the last name varies fastest. One empty combination
// without parameters. Only for a Train that ParseSpec returned: the parser bounds the number and the size.
std::vector<Combination> Combinations(const Train& train);

// Decides about a placeholder that names no parameter.
enum class Undeclared { kRefuse, kKeep };

// Returns the command with every {{ name }} replaced by the value as it is, in one pass, and "{{{{x}}}}" by "{{x}}".
// Without parameters the command stays as it is. Fails (Reason::kInvalidSpec) on what looks like a placeholder and is
// none (see placeholder.h), and if the result is longer than the 128 KB a command may have.
absl::StatusOr<std::string> Substitute(absl::string_view command, const Combination& parameters,
                                       Undeclared undeclared = Undeclared::kRefuse);

}  // namespace riseml::spec
