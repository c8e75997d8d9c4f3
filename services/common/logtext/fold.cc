#include "services/common/logtext/fold.h"

#include <utility>

namespace riseml::logtext {
namespace {

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// Largest length up to text.size() that does not cut a character in two.
std::size_t WholeCharacters(absl::string_view text) {
  std::size_t start = text.size();
  for (int back = 0; back < 4 && start > 0; ++back) {
    --start;
    const auto byte = static_cast<unsigned char>(text[start]);
    if (IsContinuation(text[start])) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return start + length <= text.size() || start == 0 ? text.size() : start;
  }
  return text.size();
}

}  // namespace

LineFolder::LineFolder(std::int64_t first_offset, std::size_t max_line)
    : max_line_(max_line), offset_(first_offset), line_offset_(first_offset) {}

void LineFolder::StartLine(std::int64_t offset) {
  text_.clear();
  after_return_ = false;
  line_offset_ = offset;
}

void LineFolder::EmitPiece(const Emit& emit) {
  const std::size_t length = WholeCharacters(text_);
  std::string rest = text_.substr(length);
  text_.resize(length);
  emit({std::exchange(text_, std::move(rest)), Line::Kind::kPiece, line_offset_});
  line_offset_ = offset_ - static_cast<std::int64_t>(text_.size());
}

void LineFolder::Take(char byte, const Emit& emit) {
  if (byte == '\n') {
    emit({std::exchange(text_, {}), Line::Kind::kWhole, line_offset_});
    return StartLine(offset_ + 1);
  }
  if (byte == '\r') {
    after_return_ = true;
    return;
  }
  if (std::exchange(after_return_, false)) text_.clear();
  if (byte == '\b') {
    while (!text_.empty() && IsContinuation(text_.back())) text_.pop_back();
    if (!text_.empty()) text_.pop_back();
    return;
  }
  if (text_.size() >= max_line_) EmitPiece(emit);
  text_.push_back(byte);
}

void LineFolder::Append(absl::string_view bytes, const Emit& emit) {
  for (const char byte : bytes) {
    Take(byte, emit);
    ++offset_;
  }
}

void LineFolder::Flush(const Emit& emit) {
  if (!text_.empty()) emit({std::exchange(text_, {}), Line::Kind::kOpen, line_offset_});
  StartLine(offset_);
}

void LineFolder::Seek(std::int64_t offset, const Emit& emit) {
  Flush(emit);
  offset_ = offset;
  StartLine(offset);
}

}  // namespace riseml::logtext
