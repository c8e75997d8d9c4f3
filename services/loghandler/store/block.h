// Blocks as they come over the wire and lie on disk: checked, decoded, trimmed. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/v1/log.pb.h"

namespace riseml::loghandler {

inline constexpr std::int64_t kMaxRawLength = 256 * 1024;     // bytes of a block before compression
inline constexpr std::int64_t kMaxBlockMessage = 512 * 1024;  // bytes of a serialised block
inline constexpr int kMaxTimes = 16'384;                      // numbers in LogBlock.times
inline constexpr std::int64_t kMaxOffset = std::int64_t{1} << 60;

// OK when lengths and CRC of a block fit together. INVALID_ARGUMENT says what does not. Does not decode. Times are
// hints: invalid ones do not keep bytes from being stored, and readers skip them.
absl::Status CheckBlock(const v1::LogBlock& block);

// The bytes of a block, exactly raw_length of them; a gap has none. Allocates at most kMaxRawLength, whatever the block
// claims. INVALID_ARGUMENT when the data does not decode to that length.
absl::StatusOr<std::string> DecodeBlock(const v1::LogBlock& block);

// The block without its first `skip` bytes (0 < skip < raw_length), coded PLAIN; a gap stays a gap.
absl::StatusOr<v1::LogBlock> TrimBlock(const v1::LogBlock& block, std::int64_t skip);

// A PLAIN block of these bytes.
v1::LogBlock PlainBlock(std::int64_t first_offset, absl::string_view bytes);

}  // namespace riseml::loghandler
