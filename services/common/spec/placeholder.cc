#include "services/common/spec/placeholder.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/nearest_name.h"

namespace riseml::spec {
namespace {

constexpr std::size_t kLongestInside = 200;

bool IsName(absl::string_view text) {
  const bool characters = std::all_of(text.begin(), text.end(), [](char c) { return IsNameCharacter(c) || c == '.'; });
  return characters && !text.empty() && text.front() != '.' && text.back() != '.';
}

// Splits `text` into words of name characters.
std::vector<absl::string_view> Words(absl::string_view text) {
  std::vector<absl::string_view> words;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin;
    while (end < text.size() && IsNameCharacter(text[end])) ++end;
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

bool IsDeclared(absl::string_view name, const std::vector<std::string>& declared) {
  return std::any_of(declared.begin(), declared.end(), [name](const std::string& known) { return known == name; });
}

// Returns the text between "{{" at the front of `text` and the next "}}", on one line and without braces.
absl::string_view Inside(absl::string_view text) {
  const std::size_t end = text.find_first_of("{}\n", 2);
  if (end == text.npos || end - 2 > kLongestInside || !absl::StartsWith(text.substr(end), "}}")) return {};
  return text.substr(2, end - 2);
}

// Length of "{{{{x}}}}" at the front of `text`; 0 if there is none.
std::size_t EscapedLength(absl::string_view text) {
  if (!absl::StartsWith(text, "{{{{")) return 0;
  const std::size_t end = text.find("}}}}", 4);
  return end == text.npos ? 0 : end + 4;
}

void AddText(std::vector<CommandToken>& tokens, absl::string_view text, std::size_t offset) {
  if (text.empty()) return;
  if (tokens.empty() || tokens.back().kind != CommandToken::Kind::kText)
    tokens.push_back({.kind = CommandToken::Kind::kText, .text = "", .name = "", .offset = offset});
  absl::StrAppend(&tokens.back().text, text);
}

}  // namespace

bool IsNameCharacter(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-'; }

std::vector<CommandToken> SplitCommand(absl::string_view command, const std::vector<std::string>& declared) {
  std::vector<CommandToken> tokens;
  std::size_t at = 0;
  while (at < command.size()) {
    const absl::string_view rest = command.substr(at);
    if (const std::size_t length = EscapedLength(rest); length > 0) {
      AddText(tokens, rest.substr(2, length - 4), at);
      at += length;
      continue;
    }
    if (absl::StartsWith(rest, "{{")) {
      const absl::string_view inside = Inside(rest);
      const absl::string_view name = absl::StripAsciiWhitespace(inside);
      const std::vector<absl::string_view> words = Words(name);
      const bool known = IsDeclared(name, declared);
      const bool names_one =
          std::any_of(words.begin(), words.end(), [&](absl::string_view word) { return IsDeclared(word, declared); });
      if (known || IsName(name) || names_one) {
        const std::size_t length = inside.size() + 4;
        tokens.push_back({.kind = known ? CommandToken::Kind::kPlaceholder : CommandToken::Kind::kUnknown,
                          .text = std::string(rest.substr(0, length)),
                          .name = std::string(name),
                          .offset = at});
        at += length;
        continue;
      }
    }
    const std::size_t next = std::min(rest.find("{{", 1), rest.size());
    AddText(tokens, rest.substr(0, next), at);
    at += next;
  }
  return tokens;
}

std::string MeantParameter(absl::string_view inside, const std::vector<std::string>& declared) {
  for (const absl::string_view word : Words(inside))
    if (IsDeclared(word, declared)) return std::string(word);
  return NearestName(inside, declared);
}

}  // namespace riseml::spec
