// SHA-256 as text.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace riseml::builder {

// 64 hex digits.
std::string Sha256Hex(absl::string_view text);

// Appends a field with its name and length in front: no two lists of fields have the same text.
void AddField(std::string& text, absl::string_view name, absl::string_view value);

}  // namespace riseml::builder
