#include "services/common/spec/source.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/parse.h"

namespace riseml::spec {
namespace {

constexpr std::size_t kLargest = 64 * 1024;
constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Character {
  std::uint32_t code = 0;
  std::size_t size = 0;  // 0: not UTF-8
};

Character Decode(absl::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return {};
  std::uint32_t code = first & (0x7F >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  if (overlong || surrogate || code > 0x10FFFF) return {};
  return {code, size};
}

bool IsPrintable(std::uint32_t code) {
  if (code == '\t' || code == '\n' || code == 0x85) return true;
  return code >= 0x20 && !(code >= 0x7F && code < 0xA0) && code != 0xFFFE && code != 0xFFFF;
}

// Converts all line breaks to '\n', as YAML does anyway.
std::string NormalBreaks(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      out += '\n';
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<Source> Source::Create(absl::string_view text, absl::string_view name) {
  Source source;
  source.name_ = std::string(name);
  if (text.size() > kLargest) {
    return InvalidSpec(name, {1, 1, "",
                              absl::StrCat("Error in configuration file: it has ", text.size(), " bytes, the limit is ",
                                           kLargest, ": move long commands into scripts of the project")});
  }
  if (absl::StartsWith(text, kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  source.text_ = NormalBreaks(text);
  source.lines_.push_back(0);
  source.columns_.push_back(1);
  for (std::size_t i = 0; i < source.text_.size(); ++i) {
    const bool counts = (static_cast<unsigned char>(source.text_[i]) & 0xC0) != 0x80;
    source.columns_.push_back(source.text_[i] == '\n' ? 1 : source.columns_.back() + (counts ? 1 : 0));
    if (source.text_[i] == '\n') source.lines_.push_back(i + 1);
  }
  for (std::size_t i = 0; i < source.text_.size();) {
    const Character c = Decode(absl::string_view(source.text_).substr(i));
    if (c.size == 0 || !IsPrintable(c.code)) {
      const Position at = source.At(i);
      const std::string what =
          c.size == 0
              ? absl::StrFormat("the byte 0x%02X is not UTF-8: save the file as UTF-8",
                                static_cast<unsigned char>(source.text_[i]))
              : absl::StrFormat("the control character U+%04X: remove it, or write it as \"\\u%04X\" in double quotes",
                                c.code, c.code);
      return InvalidSpec(name, {at.line, at.column, "", absl::StrCat("Error in configuration file: ", what)});
    }
    i += c.size;
  }
  return source;
}

std::size_t Source::LineStart(std::size_t offset) const {
  return *std::prev(std::upper_bound(lines_.begin(), lines_.end(), std::min(offset, text_.size())));
}

Position Source::At(std::size_t offset) const {
  offset = std::min(offset, text_.size());
  const auto line = std::upper_bound(lines_.begin(), lines_.end(), offset);
  return {static_cast<int>(line - lines_.begin()), columns_[offset]};
}

std::size_t Source::Offset(int line, int column) const {
  if (line < 0) return 0;
  if (static_cast<std::size_t>(line) >= lines_.size()) return text_.size();
  return std::min(lines_[line] + static_cast<std::size_t>(std::max(column, 0)), text_.size());
}

absl::string_view Source::LineAt(std::size_t offset) const {
  const absl::string_view rest = absl::string_view(text_).substr(LineStart(offset));
  return rest.substr(0, rest.find('\n'));
}

}  // namespace riseml::spec
