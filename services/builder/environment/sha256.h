// SHA-256 as text.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// 64 hex digits.
std::string Sha256Hex(absl::string_view text);

// Appends name and value, each after its length, so that different lists of fields give different texts.
void AddField(std::string& text, absl::string_view name, absl::string_view value);

}  // namespace riseml::builder
