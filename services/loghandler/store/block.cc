#include "services/loghandler/store/block.h"

#include <zstd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::loghandler {
namespace {

absl::Status Bad(const v1::LogBlock& block, absl::string_view what) {
  return Error(Reason::kInvalidArgument, absl::StrCat("log block at offset ", block.first_offset(), ": ", what));
}

}  // namespace

absl::Status CheckBlock(const v1::LogBlock& block) {
  if (block.first_offset() < 0 || block.first_offset() > kMaxOffset) return Bad(block, "first_offset is out of range");
  if (block.raw_length() < 1 || block.raw_length() > kMaxOffset - block.first_offset())
    return Bad(block, "raw_length is out of range");
  if (block.times_size() % 2 != 0 || block.times_size() > kMaxTimes)
    return Bad(block, absl::StrCat("times must be pairs, at most ", kMaxTimes / 2, " of them"));
  if (block.coding() == v1::LogBlock::GAP) {
    if (!block.data().empty()) return Bad(block, "a gap must have no data");
  } else {
    if (block.raw_length() > kMaxRawLength)
      return Bad(block, absl::StrCat("raw_length must be at most ", kMaxRawLength));
    if (block.coding() == v1::LogBlock::PLAIN && static_cast<std::int64_t>(block.data().size()) != block.raw_length())
      return Bad(block, "plain data must be raw_length bytes");
    if (block.coding() != v1::LogBlock::PLAIN && block.coding() != v1::LogBlock::ZSTD)
      return Bad(block, absl::StrCat("unknown coding ", static_cast<int>(block.coding())));
  }
  if (static_cast<std::int64_t>(block.ByteSizeLong()) > kMaxBlockMessage)
    return Bad(block, absl::StrCat("must be at most ", kMaxBlockMessage, " bytes as a message"));
  if (Crc32c(block.data()) != block.crc()) return Bad(block, "CRC32C of data does not match; send the block again");
  return absl::OkStatus();
}

absl::StatusOr<std::string> DecodeBlock(const v1::LogBlock& block) {
  if (block.coding() == v1::LogBlock::GAP) return std::string();
  if (block.coding() == v1::LogBlock::PLAIN) return block.data();
  if (block.raw_length() < 1 || block.raw_length() > kMaxRawLength) return Bad(block, "raw_length is out of range");
  std::string bytes(block.raw_length(), '\0');
  const std::size_t n = ZSTD_decompress(bytes.data(), bytes.size(), block.data().data(), block.data().size());
  if (ZSTD_isError(n)) return Bad(block, absl::StrCat("does not decompress: ", ZSTD_getErrorName(n)));
  if (n != bytes.size()) return Bad(block, absl::StrCat("decompresses to ", n, " bytes, not ", bytes.size()));
  return bytes;
}

absl::StatusOr<v1::LogBlock> TrimBlock(const v1::LogBlock& block, std::int64_t skip) {
  v1::LogBlock rest;
  if (block.coding() == v1::LogBlock::GAP) {
    rest.set_coding(v1::LogBlock::GAP);
    rest.set_first_offset(block.first_offset() + skip);
    rest.set_raw_length(block.raw_length() - skip);
  } else {
    RISEML_ASSIGN_OR_RETURN(const std::string bytes, DecodeBlock(block));
    rest = PlainBlock(block.first_offset() + skip, absl::string_view(bytes).substr(skip));
  }
  std::int64_t running = 0;  // time in force at the cut
  for (int i = 0; i < block.times_size(); i += 2) {
    if (block.times(i) <= skip) {
      running = block.times(i + 1);
      continue;
    }
    if (running != 0) {
      rest.add_times(0);
      rest.add_times(std::exchange(running, 0));
    }
    rest.add_times(block.times(i) - skip);
    rest.add_times(block.times(i + 1));
  }
  if (running != 0) {
    rest.add_times(0);
    rest.add_times(running);
  }
  return rest;
}

v1::LogBlock PlainBlock(std::int64_t first_offset, absl::string_view bytes) {
  v1::LogBlock block;
  block.set_first_offset(first_offset);
  block.set_raw_length(static_cast<std::int64_t>(bytes.size()));
  block.set_coding(v1::LogBlock::PLAIN);
  block.set_data(bytes.data(), bytes.size());
  block.set_crc(Crc32c(bytes));
  return block;
}

}  // namespace riseml::loghandler
