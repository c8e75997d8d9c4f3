// Bytes of a segment file `seg-<first offset, 20 digits>.rlog`:
//   header | record … | footer | trailer          (footer and trailer only once the segment is sealed)
//   header:  magic "RSMLLOG1", u32 version, u32 flags, i64 first offset, i64 first line, u32 CRC32C of the header;
//            36 bytes
//   record:  u32 length, u32 CRC32C of length and payload, payload = serialised LogBlock as it came over the wire
//   footer:  8 zero bytes (no record has length 0), then one entry of 48 bytes per record
//   trailer: u64 footer position, u32 entries, u32 flags, i64 end offset, i64 end line, u32 CRC32C of footer and
//            trailer, magic "RSMLEND1"; 44 bytes
// All numbers are little-endian. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::loghandler {

inline constexpr int kFormatVersion = 1;
inline constexpr std::size_t kHeaderSize = 36;
inline constexpr std::size_t kRecordHeaderSize = 8;
inline constexpr std::size_t kEntrySize = 48;
inline constexpr std::size_t kTrailerSize = 44;
inline constexpr std::size_t kFooterMarkSize = 8;

// Index entry of one record: used to find it by offset, line or time without reading it.
struct BlockEntry {
  std::int64_t first_offset = 0;
  std::int64_t raw_length = 0;
  std::int64_t first_line = 0;    // newlines in the stream before it
  std::int64_t t_min = 0;         // ms since 1970; 0: unknown
  std::uint32_t lines = 0;        // newlines in it
  std::uint32_t flags = 0;        // kGap, kAtLineStart
  std::uint32_t file_offset = 0;  // of the record
  std::uint32_t length = 0;       // of the payload
  std::int64_t end() const { return first_offset + raw_length; }
  friend bool operator==(const BlockEntry&, const BlockEntry&) = default;
};
inline constexpr std::uint32_t kGap = 1;          // entry: bytes that were lost
inline constexpr std::uint32_t kAtLineStart = 2;  // entry: the stream stands at the start of a line after it

// State of a stream at the start of a segment, and after each block.
struct StreamPoint {
  std::int64_t offset = 0;
  std::int64_t line = 0;  // newlines before it
  bool at_line_start = true;
  friend bool operator==(const StreamPoint&, const StreamPoint&) = default;
};

// A segment's content without its bytes.
struct SegmentIndex {
  StreamPoint start;
  StreamPoint end;
  std::vector<BlockEntry> entries;
  std::int64_t data_end = kHeaderSize;  // file position after the last record
  bool sealed = false;
};

std::string SegmentName(std::int64_t first_offset);
std::optional<std::int64_t> ParseSegmentName(absl::string_view name);

std::string EncodeHeader(const StreamPoint& start);
absl::StatusOr<StreamPoint> ParseHeader(absl::string_view bytes);  // DATA_LOSS, NEWER_FORMAT

// The 8 bytes before a payload.
std::string EncodeRecordHeader(absl::string_view payload);
std::uint32_t RecordLength(absl::string_view record_header);
bool RecordIsSound(absl::string_view record_header, absl::string_view payload);

// Footer and trailer of a segment with these records.
std::string EncodeFooter(const SegmentIndex& index);
// Position and size of the footer according to a trailer; nullopt when these bytes are no trailer.
struct FooterPlace {
  std::int64_t position = 0;
  std::int64_t size = 0;  // of mark and entries
};
std::optional<FooterPlace> ParseTrailer(absl::string_view trailer);
// Fills all but `start`. False when the checksum does not fit.
bool ParseFooter(absl::string_view footer, absl::string_view trailer, SegmentIndex* index);

}  // namespace riseml::loghandler
