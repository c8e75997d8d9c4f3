// Numbers of bytes as people write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace riseml {

// "12.3 GiB", "500 GiB", "10 bytes": powers of 1,024, one decimal where it is not 0.
std::string PrintSize(std::int64_t bytes);

// "500G", "1.5T", "10M", "2048": powers of 1,024 with K, M, G, T or P, "iB" or "B" behind it or not; nothing for other
// text, and for sizes below 0 or beyond 8 EiB.
std::optional<std::int64_t> ReadSize(absl::string_view text);

}  // namespace riseml
