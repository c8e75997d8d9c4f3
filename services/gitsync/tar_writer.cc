#include "services/gitsync/tar_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/common/base/status_macros.h"

namespace riseml::gitsync {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kNameBytes = 100;
constexpr std::size_t kPieceBytes = 256 * 1024;

// "<length> <key>=<value>\n", where the length counts its own digits.
std::string PaxRecord(absl::string_view key, absl::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (rest + absl::StrCat(length).size() != length) length = rest + absl::StrCat(length).size();
  return absl::StrCat(length, " ", key, "=", value, "\n");
}

void PutText(std::string& block, std::size_t at, std::size_t size, absl::string_view text) {
  std::memcpy(block.data() + at, text.data(), std::min(size, text.size()));
}

void PutOctal(std::string& block, std::size_t at, std::size_t size, std::int64_t value) {
  PutText(block, at, size, absl::StrFormat("%0*o", static_cast<int>(size) - 1, value));
}

}  // namespace

TarWriter::TarWriter(const TarOptions& options, ByteSink sink)
    : modified_(std::max<std::int64_t>(absl::ToUnixSeconds(options.modified), 0)),
      group_bits_(options.group_writable ? 0020 : 0),
      sink_(std::move(sink)) {}

absl::Status TarWriter::AddDirectory(absl::string_view path) {
  return AddHeader({absl::StrCat(path, "/"), "", 0, 0755 | group_bits_, '5'});
}

absl::Status TarWriter::AddFile(absl::string_view path, bool executable, absl::string_view content) {
  RISEML_RETURN_IF_ERROR(AddHeader({std::string(path), "", static_cast<std::int64_t>(content.size()),
                                    (executable ? 0755 : 0644) | group_bits_, '0'}));
  RISEML_RETURN_IF_ERROR(Write(content));
  return Pad(content.size());
}

absl::Status TarWriter::AddLink(absl::string_view path, absl::string_view target) {
  return AddHeader({std::string(path), std::string(target), 0, 0777, '2'});
}

absl::Status TarWriter::Finish() {
  RISEML_RETURN_IF_ERROR(Write(std::string(2 * kBlock, '\0')));
  if (buffer_.empty()) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(sink_(buffer_));
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status TarWriter::AddHeader(const Header& header) {
  std::string records;
  if (header.path.size() > kNameBytes) records += PaxRecord("path", header.path);
  if (header.link.size() > kNameBytes) records += PaxRecord("linkpath", header.link);
  if (!records.empty()) {
    RISEML_RETURN_IF_ERROR(AddBlock({"pax_header", "", static_cast<std::int64_t>(records.size()), 0644, 'x'}));
    RISEML_RETURN_IF_ERROR(Write(records));
    RISEML_RETURN_IF_ERROR(Pad(records.size()));
  }
  return AddBlock(header);
}

absl::Status TarWriter::AddBlock(const Header& header) {
  std::string block(kBlock, '\0');
  PutText(block, 0, kNameBytes, header.path);
  PutOctal(block, 100, 8, header.mode);
  PutOctal(block, 108, 8, 0);  // owner
  PutOctal(block, 116, 8, 0);  // group
  PutOctal(block, 124, 12, header.size);
  PutOctal(block, 136, 12, modified_);
  PutText(block, 148, 8, "        ");
  block[156] = header.type;
  PutText(block, 157, kNameBytes, header.link);
  PutText(block, 257, 8, absl::string_view("ustar\00000", 8));
  std::int64_t sum = 0;
  for (const char byte : block) sum += static_cast<unsigned char>(byte);
  PutText(block, 148, 7, absl::StrFormat("%06o", sum));
  block[154] = '\0';
  return Write(block);
}

absl::Status TarWriter::Pad(std::size_t size) { return Write(std::string((kBlock - size % kBlock) % kBlock, '\0')); }

absl::Status TarWriter::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), kPieceBytes - buffer_.size());
    buffer_.append(bytes.data(), piece);
    bytes.remove_prefix(piece);
    if (buffer_.size() < kPieceBytes) continue;
    RISEML_RETURN_IF_ERROR(sink_(buffer_));
    buffer_.clear();
  }
  return absl::OkStatus();
}

}  // namespace riseml::gitsync
