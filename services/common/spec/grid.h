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

// Product of the numbers of values, 1 without parameters; kMostCombinations + 1 stands for all that is more.
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

// The environment variable of a parameter: upper case, '-' becomes '_'.
std::string EnvironmentName(absl::string_view parameter);

// Most outputs of other experiments that one experiment reads.
inline constexpr std::size_t kMostInputs = 100;

// Fails (Reason::kInvalidSpec) when `name` cannot be the name of an input: 1 to 63 letters, digits, '-' and '_', a
// letter or digit first.
absl::Status CheckInputName(absl::string_view name);

// Fails (Reason::kInvalidSpec) if a user cannot set the variable `name`: it is no name of a variable, or every job gets
// it from the product (PATH, HOME, OUTPUT_DIR, RISEML_* …).
absl::Status CheckVariableName(absl::string_view name);

// Fails (Reason::kInvalidSpec) when `name` cannot be a parameter: its variable would be no variable, or one that
// decides what runs (PATH, HOME, SHELL, LD_*, PYTHON*, RISEML_*).
absl::Status CheckParameterName(absl::string_view name);

}  // namespace riseml::spec
