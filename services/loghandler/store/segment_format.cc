#include "services/loghandler/store/segment_format.h"

#include <type_traits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/status.h"

namespace riseml::loghandler {
namespace {

constexpr absl::string_view kHeaderMagic = "RSMLLOG1";
constexpr absl::string_view kTrailerMagic = "RSMLEND1";

template <class T>
void Put(std::string& out, T value) {
  auto bits = static_cast<std::make_unsigned_t<T>>(value);
  for (std::size_t i = 0; i < sizeof(T); ++i, bits = static_cast<decltype(bits)>(bits >> 7 >> 1))
    out.push_back(static_cast<char>(bits & 0xff));
}

// Reads numbers from the front; the caller has checked the size.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T Get() {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) bits |= std::uint64_t{static_cast<unsigned char>(bytes_[i])} << (8 * i);
    bytes_.remove_prefix(sizeof(T));
    return static_cast<T>(bits);
  }

 private:
  absl::string_view bytes_;
};

std::uint32_t LineFlag(bool at_line_start) { return at_line_start ? kAtLineStart : 0; }

}  // namespace

std::string SegmentName(std::int64_t first_offset) { return absl::StrFormat("seg-%020d.rlog", first_offset); }

std::optional<std::int64_t> ParseSegmentName(absl::string_view name) {
  std::int64_t offset = 0;
  if (!absl::ConsumePrefix(&name, "seg-") || !absl::ConsumeSuffix(&name, ".rlog") || name.size() != 20 ||
      !absl::SimpleAtoi(name, &offset) || offset < 0)
    return std::nullopt;
  return offset;
}

std::string EncodeHeader(const StreamPoint& start) {
  std::string out(kHeaderMagic);
  Put<std::uint32_t>(out, kFormatVersion);
  Put<std::uint32_t>(out, LineFlag(start.at_line_start));
  Put<std::int64_t>(out, start.offset);
  Put<std::int64_t>(out, start.line);
  Put<std::uint32_t>(out, Crc32c(out));
  return out;
}

absl::StatusOr<StreamPoint> ParseHeader(absl::string_view bytes) {
  if (bytes.size() < kHeaderSize || !absl::StartsWith(bytes, kHeaderMagic))
    return absl::DataLossError("no segment header");
  Reader reader(bytes.substr(kHeaderMagic.size()));
  const auto version = reader.Get<std::uint32_t>();
  const auto flags = reader.Get<std::uint32_t>();
  StreamPoint start;
  start.offset = reader.Get<std::int64_t>();
  start.line = reader.Get<std::int64_t>();
  start.at_line_start = (flags & kAtLineStart) != 0;
  if (reader.Get<std::uint32_t>() != Crc32c(bytes.substr(0, kHeaderSize - 4)))
    return absl::DataLossError("segment header with a wrong checksum");
  if (version > kFormatVersion)
    return Error(Reason::kNewerFormat, absl::StrCat("segment of format ", version, "; install a newer RiseML"));
  return start;
}

std::string EncodeRecordHeader(absl::string_view payload) {
  std::string out;
  Put<std::uint32_t>(out, static_cast<std::uint32_t>(payload.size()));
  Put<std::uint32_t>(out, ExtendCrc32c(Crc32c(out), payload));
  return out;
}

std::uint32_t RecordLength(absl::string_view record_header) { return Reader(record_header).Get<std::uint32_t>(); }

bool RecordIsSound(absl::string_view record_header, absl::string_view payload) {
  if (RecordLength(record_header) != payload.size()) return false;
  return Reader(record_header.substr(4)).Get<std::uint32_t>() ==
         ExtendCrc32c(Crc32c(record_header.substr(0, 4)), payload);
}

std::string EncodeFooter(const SegmentIndex& index) {
  std::string out(kFooterMarkSize, '\0');
  for (const BlockEntry& entry : index.entries) {
    Put<std::int64_t>(out, entry.first_offset);
    Put<std::int64_t>(out, entry.raw_length);
    Put<std::int64_t>(out, entry.first_line);
    Put<std::int64_t>(out, entry.t_min);
    Put<std::uint32_t>(out, entry.lines);
    Put<std::uint32_t>(out, entry.flags);
    Put<std::uint32_t>(out, entry.file_offset);
    Put<std::uint32_t>(out, entry.length);
  }
  Put<std::uint64_t>(out, static_cast<std::uint64_t>(index.data_end));
  Put<std::uint32_t>(out, static_cast<std::uint32_t>(index.entries.size()));
  Put<std::uint32_t>(out, LineFlag(index.end.at_line_start));
  Put<std::int64_t>(out, index.end.offset);
  Put<std::int64_t>(out, index.end.line);
  Put<std::uint32_t>(out, Crc32c(out));
  out.append(kTrailerMagic.data(), kTrailerMagic.size());
  return out;
}

std::optional<FooterPlace> ParseTrailer(absl::string_view trailer) {
  if (trailer.size() != kTrailerSize || !absl::EndsWith(trailer, kTrailerMagic)) return std::nullopt;
  Reader reader(trailer);
  const auto position = reader.Get<std::uint64_t>();
  const auto entries = reader.Get<std::uint32_t>();
  if (position > (std::uint64_t{1} << 40)) return std::nullopt;
  return FooterPlace{static_cast<std::int64_t>(position),
                     static_cast<std::int64_t>(kFooterMarkSize + kEntrySize * entries)};
}

bool ParseFooter(absl::string_view footer, absl::string_view trailer, SegmentIndex* index) {
  if (trailer.size() != kTrailerSize || footer.size() < kFooterMarkSize ||
      (footer.size() - kFooterMarkSize) % kEntrySize != 0)
    return false;
  const std::uint32_t crc = ExtendCrc32c(Crc32c(footer), trailer.substr(0, kTrailerSize - 12));
  Reader end(trailer);
  index->data_end = static_cast<std::int64_t>(end.Get<std::uint64_t>());
  const auto count = end.Get<std::uint32_t>();
  index->end.at_line_start = (end.Get<std::uint32_t>() & kAtLineStart) != 0;
  index->end.offset = end.Get<std::int64_t>();
  index->end.line = end.Get<std::int64_t>();
  if (end.Get<std::uint32_t>() != crc || count != (footer.size() - kFooterMarkSize) / kEntrySize) return false;
  Reader reader(footer.substr(kFooterMarkSize));
  index->entries.clear();
  index->entries.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    BlockEntry entry;
    entry.first_offset = reader.Get<std::int64_t>();
    entry.raw_length = reader.Get<std::int64_t>();
    entry.first_line = reader.Get<std::int64_t>();
    entry.t_min = reader.Get<std::int64_t>();
    entry.lines = reader.Get<std::uint32_t>();
    entry.flags = reader.Get<std::uint32_t>();
    entry.file_offset = reader.Get<std::uint32_t>();
    entry.length = reader.Get<std::uint32_t>();
    index->entries.push_back(entry);
  }
  index->sealed = true;
  return true;
}

}  // namespace riseml::loghandler
