#include "services/common/logtext/invisible.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_format.h"

namespace riseml::logtext {
namespace {

constexpr char32_t kNonJoiner = 0x200C, kJoiner = 0x200D, kEmojiStyle = 0xFE0F;

struct CodeRange {
  char32_t first, last;
};
constexpr CodeRange kInvisible[] = {{0xAD, 0xAD},     {0x61C, 0x61C},   {0x180E, 0x180E}, {0x200B, 0x200F},
                                    {0x2028, 0x202E}, {0x2060, 0x206F}, {0xFEFF, 0xFEFF}};
// Blocks of scripts whose letters change their form beside others.
constexpr CodeRange kJoiningScripts[] = {
    {0x600, 0xDFF},     // Arabic, Syriac, N'Ko and others, then Devanagari to Sinhala
    {0xF00, 0x109F},    // Tibetan, Myanmar
    {0x1780, 0x18AF},   // Khmer, Mongolian
    {0xA840, 0xA87F},   // Phags-pa
    {0xFB50, 0xFDFF},   // forms of Arabic letters
    {0xFE70, 0xFEFE},   // more of them
    {0x10A00, 0x11FFF}  // further Indian scripts
};
constexpr CodeRange kEmoji[] = {
    {0x2190, 0x21FF}, {0x2300, 0x23FF}, {0x2600, 0x27BF}, {0x2B00, 0x2BFF}, {0x1F000, 0x1FAFF}};

template <std::size_t kSize>
bool IsIn(const CodeRange (&ranges)[kSize], char32_t code) {
  return std::ranges::any_of(ranges, [code](const CodeRange& r) { return code >= r.first && code <= r.last; });
}

// Bytes of the character that `text` begins with; 1 for what is no UTF-8.
std::size_t LengthOfCharacter(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
  if (text.size() < length) return 1;
  const auto continues = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; };
  return std::ranges::all_of(text.substr(1, length - 1), continues) ? length : 1;
}

// 0 at the end of the text, and for bytes that are no UTF-8.
char32_t FirstCodePoint(absl::string_view text) {
  if (text.empty()) return 0;
  const std::size_t length = LengthOfCharacter(text);
  if (length > 1) return CodePointOf(text.substr(0, length));
  return static_cast<unsigned char>(text[0]) < 0x80 ? text[0] : 0;
}

}  // namespace

bool IsInvisible(char32_t code) { return code >= kInvisible[0].first && IsIn(kInvisible, code); }

bool IsJoiner(char32_t code) { return code == kNonJoiner || code == kJoiner; }

bool JoinsText(char32_t before, char32_t joiner, char32_t after) {
  if (IsIn(kJoiningScripts, before)) return !IsInvisible(before);
  return joiner == kJoiner && (before == kEmojiStyle || IsIn(kEmoji, before)) && IsIn(kEmoji, after);
}

char32_t CodePointOf(absl::string_view character) {
  char32_t code = static_cast<unsigned char>(character[0]);
  code &= character.size() == 2 ? 0x1F : character.size() == 3 ? 0x0F : 0x07;
  for (const char byte : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(byte) & 0x3F);
  return code;
}

std::string Escaped(char32_t code) { return absl::StrFormat("\\u%04x", static_cast<unsigned>(code)); }

std::string ShowInvisible(absl::string_view text) {
  std::string out;
  char32_t before = 0;
  while (!text.empty()) {
    const std::size_t length = LengthOfCharacter(text);
    const char32_t code = FirstCodePoint(text);
    const bool joins = IsJoiner(code) && JoinsText(before, code, FirstCodePoint(text.substr(length)));
    if (IsInvisible(code) && !joins)
      out += Escaped(code);
    else
      out.append(text.data(), length);
    before = code;
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace riseml::logtext
