// Names that a user chooses: of parameters, of variables, and of inputs.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace riseml::spec {

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
