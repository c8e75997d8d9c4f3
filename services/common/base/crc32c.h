// CRC-32C (Castagnoli), the checksum of log blocks: polynomial 0x1EDC6F41, reflected, initial value and final xor
// 0xFFFFFFFF. Uses the processor's instruction where there is one; the result is the same everywhere.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace riseml {

// Checksum of `bytes`. Thread-safe.
std::uint32_t Crc32c(absl::string_view bytes);

// Checksum of the concatenation of what `crc` was computed over and `bytes`: Crc32c(a + b) == ExtendCrc32c(Crc32c(a),
// b).
std::uint32_t ExtendCrc32c(std::uint32_t crc, absl::string_view bytes);

namespace crc32c_internal {
// The table-driven form, whatever the processor offers; for tests.
std::uint32_t ExtendPortable(std::uint32_t crc, absl::string_view bytes);
}  // namespace crc32c_internal

}  // namespace riseml
