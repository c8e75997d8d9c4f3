#include "services/common/logtext/redact.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace riseml::logtext {
namespace {

struct Span {
  std::size_t begin = 0, end = 0;
};

bool EndsUserInfo(char c) {
  return absl::ascii_isspace(static_cast<unsigned char>(c)) ||
         absl::StrContains("/?#\"'`<>()", absl::string_view(&c, 1));
}

// Password of the URL whose "://" begins at `at`; empty if it has none.
Span PasswordAt(absl::string_view text, std::size_t at) {
  const std::size_t begin = at + 3;
  std::size_t end = begin;
  std::size_t last_at = text.npos;
  while (end < text.size() && !EndsUserInfo(text[end])) {
    if (text[end] == '@') last_at = end;
    ++end;
  }
  if (last_at == text.npos) return {};
  const absl::string_view user_info = text.substr(begin, last_at - begin);
  const std::size_t colon = user_info.find(':');
  if (colon != user_info.npos) return {begin + colon + 1, last_at};
  const bool ssh = absl::EndsWith(text.substr(0, at), "ssh");
  if (ssh || user_info == "git") return {};
  return {begin, last_at};
}

std::vector<Span> PasswordsOf(absl::string_view text) {
  std::vector<Span> ranges;
  for (std::size_t at = text.find("://"); at != text.npos; at = text.find("://", at + 3)) {
    const Span range = PasswordAt(text, at);
    if (range.end > range.begin) ranges.push_back(range);
  }
  return ranges;
}

}  // namespace

Masker::Masker(const std::vector<std::string>& values) {
  const auto add = [this](absl::string_view value) {
    if (value.size() >= kShortestMasked) values_.emplace_back(value);
  };
  for (const std::string& value : values) {
    add(value);
    if (!absl::StrContains(value, '\n')) continue;
    for (const absl::string_view line : absl::StrSplit(value, absl::ByAnyChar("\r\n"))) add(line);
  }
  std::sort(values_.begin(), values_.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  values_.erase(std::unique(values_.begin(), values_.end()), values_.end());
  if (!values_.empty()) longest_ = values_.front().size();
}

std::string Masker::Mask(absl::string_view text) const {
  std::string out(text);
  for (const std::string& value : values_) {
    for (std::size_t at = text.find(value); at != text.npos; at = text.find(value, at + 1)) {
      for (std::size_t i = at; i < at + value.size(); ++i)
        if (out[i] != '\n') out[i] = '*';
    }
  }
  return out;
}

std::size_t Masker::OpenEnd(absl::string_view text) const {
  std::size_t open = 0;
  for (const std::string& value : values_) {
    for (std::size_t length = std::min(value.size() - 1, text.size()); length > open; --length) {
      if (text.substr(text.size() - length) != absl::string_view(value).substr(0, length)) continue;
      open = length;
      break;
    }
  }
  return open;
}

std::vector<std::string> UrlPasswords(absl::string_view text) {
  std::vector<std::string> passwords;
  for (const Span& range : PasswordsOf(text)) passwords.emplace_back(text.substr(range.begin, range.end - range.begin));
  return passwords;
}

std::string MaskUrlPasswords(absl::string_view text) {
  std::string out(text);
  for (const Span& range : PasswordsOf(text)) std::fill(out.begin() + range.begin, out.begin() + range.end, '*');
  return out;
}

}  // namespace riseml::logtext
