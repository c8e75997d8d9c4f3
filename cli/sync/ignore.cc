#include "cli/sync/ignore.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/utf8.h"

namespace riseml::sync {
namespace {

// Trailing spaces do not count unless one of them is escaped.
absl::string_view StripTrailingSpaces(absl::string_view line) {
  std::size_t end = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == ' ') continue;
    if (line[i] == '\\' && ++i == line.size()) return line;
    end = i + 1;
  }
  return line.substr(0, end);
}

std::optional<Pattern> ParseLine(absl::string_view line) {
  absl::ConsumeSuffix(&line, "\r");
  if (line.empty() || line[0] == '#') return std::nullopt;
  line = StripTrailingSpaces(line);
  Pattern pattern;
  pattern.text = std::string(line);
  pattern.negated = absl::ConsumePrefix(&line, "!");
  pattern.directory_only = absl::ConsumeSuffix(&line, "/");
  pattern.anchored = absl::StrContains(line, '/');
  absl::ConsumePrefix(&line, "/");
  if (line.empty()) return std::nullopt;
  pattern.glob = std::string(line);
  return pattern;
}

bool InClass(absl::string_view name, unsigned char c) {
  if (name == "alnum") return absl::ascii_isalnum(c);
  if (name == "alpha") return absl::ascii_isalpha(c);
  if (name == "blank") return c == ' ' || c == '\t';
  if (name == "cntrl") return absl::ascii_iscntrl(c);
  if (name == "digit") return absl::ascii_isdigit(c);
  if (name == "graph") return absl::ascii_isgraph(c);
  if (name == "lower") return absl::ascii_islower(c);
  if (name == "print") return absl::ascii_isprint(c);
  if (name == "punct") return absl::ascii_ispunct(c);
  if (name == "space") return absl::ascii_isspace(c);
  if (name == "upper") return absl::ascii_isupper(c);
  if (name == "xdigit") return absl::ascii_isxdigit(c);
  return false;
}

bool IsClass(absl::string_view name) {
  for (const absl::string_view known :
       {"alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"})
    if (name == known) return true;
  return false;
}

// Reads a bracket expression that begins behind '['. Returns whether `c` is in it and moves `at` behind ']'; absent
// when it is broken.
std::optional<bool> MatchBracket(absl::string_view pattern, std::size_t& at, unsigned char c) {
  bool inverted = false;
  if (at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^')) {
    inverted = true;
    ++at;
  }
  bool matched = false;
  bool first = true;
  int previous = -1;  // the character a range may start with; -1: none
  while (true) {
    if (at >= pattern.size()) return std::nullopt;
    char p = pattern[at];
    if (p == ']' && !first) break;
    first = false;
    if (p == '[' && at + 1 < pattern.size() && pattern[at + 1] == ':') {
      const std::size_t end = pattern.find(']', at + 2);
      if (end == pattern.npos) return std::nullopt;
      if (end > at + 2 && pattern[end - 1] == ':') {
        const absl::string_view name = pattern.substr(at + 2, end - 1 - (at + 2));
        if (!IsClass(name)) return std::nullopt;
        matched = matched || InClass(name, c);
        previous = -1;
        at = end + 1;
        continue;
      }
    }
    if (p == '-' && previous >= 0 && at + 1 < pattern.size() && pattern[at + 1] != ']') {
      ++at;
      if (pattern[at] == '\\') {
        if (++at >= pattern.size()) return std::nullopt;
      }
      const auto last = static_cast<unsigned char>(pattern[at]);
      matched = matched || (previous <= c && c <= last);
      previous = -1;
      ++at;
      continue;
    }
    if (p == '\\') {
      if (++at >= pattern.size()) return std::nullopt;
      p = pattern[at];
    }
    previous = static_cast<unsigned char>(p);
    matched = matched || previous == c;
    ++at;
  }
  ++at;
  // A slash is never in a bracket of a path pattern.
  return matched != inverted && c != '/';
}

// Keeps a pattern of many stars from taking exponential time: after so many steps it does not match.
constexpr int kMaxSteps = 1'000'000;

bool Match(absl::string_view pattern, absl::string_view text, bool at_start, int& steps) {
  std::size_t p = 0;
  std::size_t t = 0;
  for (; p < pattern.size(); ++p, ++t) {
    if (++steps > kMaxSteps) return false;
    const char c = pattern[p];
    if (c == '*') {
      const std::size_t star = p;
      while (p < pattern.size() && pattern[p] == '*') ++p;
      const bool after_slash = star == 0 ? at_start : pattern[star - 1] == '/';
      const bool before_slash = p == pattern.size() || pattern[p] == '/';
      const bool crosses = p - star >= 2 && after_slash && before_slash;
      // "**/" also matches no directory at all.
      if (crosses && p < pattern.size() && Match(pattern.substr(p + 1), text.substr(t), true, steps)) return true;
      for (std::size_t rest = t;; ++rest) {
        if (Match(pattern.substr(p), text.substr(rest), false, steps)) return true;
        if (rest == text.size() || (text[rest] == '/' && !crosses)) return false;
      }
    }
    if (t >= text.size()) return false;
    if (c == '?') {
      if (text[t] == '/') return false;
    } else if (c == '[') {
      std::size_t at = p + 1;
      const std::optional<bool> in = MatchBracket(pattern, at, static_cast<unsigned char>(text[t]));
      if (!in || !*in) return false;
      p = at - 1;
    } else {
      if (c == '\\' && ++p >= pattern.size()) return false;
      if (pattern[p] != text[t]) return false;
    }
  }
  return t == text.size();
}

// Like git, compares the literal prefix first; a "**" right after it counts as the start of the pattern.
bool MatchPath(absl::string_view glob, absl::string_view path) {
  const std::size_t literal = std::min(glob.find_first_of("*?[\\"), glob.size());
  if (path.substr(0, literal) != glob.substr(0, literal)) return false;
  return WildMatch(glob.substr(literal), path.substr(literal));
}

// True when `glob` can match a path below `directory`: each part of `directory` matches one of `glob`, and more parts
// of `glob` follow.
bool LeadsBelow(absl::string_view glob, absl::string_view directory) {
  const std::vector<absl::string_view> globs = absl::StrSplit(glob, '/');
  const std::vector<absl::string_view> parts = absl::StrSplit(directory, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i < globs.size() && globs[i] == "**") return i > 0;
    if (i + 1 >= globs.size() || !WildMatch(globs[i], parts[i])) return false;
  }
  return true;
}

bool Matches(const PatternFile& file, const Pattern& pattern, absl::string_view path) {
  if (!pattern.anchored) {
    const std::size_t slash = path.rfind('/');
    return WildMatch(pattern.glob, slash == path.npos ? path : path.substr(slash + 1));
  }
  if (!file.above.empty()) return MatchPath(pattern.glob, absl::StrCat(file.above, "/", path));
  if (!file.directory.empty()) path.remove_prefix(file.directory.size() + 1);
  return MatchPath(pattern.glob, path);
}

}  // namespace

std::vector<Pattern> ParsePatterns(absl::string_view text) {
  absl::ConsumePrefix(&text, "\xEF\xBB\xBF");
  std::vector<Pattern> patterns;
  for (const absl::string_view line : absl::StrSplit(text, '\n'))
    if (std::optional<Pattern> pattern = ParseLine(line)) patterns.push_back(*std::move(pattern));
  return patterns;
}

bool WildMatch(absl::string_view pattern, absl::string_view text) {
  int steps = 0;
  return Match(pattern, text, true, steps);
}

const Pattern* FindPattern(const std::vector<PatternFile>& files, absl::string_view path, bool is_directory,
                           const PatternFile** file) {
  for (auto f = files.rbegin(); f != files.rend(); ++f) {
    const std::size_t prefix = f->directory.size();
    if (prefix > 0 && (path.size() <= prefix || path[prefix] != '/' || !absl::StartsWith(path, f->directory))) continue;
    for (auto pattern = f->patterns.rbegin(); pattern != f->patterns.rend(); ++pattern) {
      if (pattern->directory_only && !is_directory) continue;
      if (!Matches(*f, *pattern, path)) continue;
      if (file != nullptr) *file = &*f;
      return &*pattern;
    }
  }
  return nullptr;
}

std::string PatternFor(absl::string_view path) {
  const bool plain = IsValidUtf8(path);
  std::string out = "/";
  for (const char c : path) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) || (!plain && !absl::ascii_isascii(c))) {
      out += '?';  // what cannot be typed
    } else {
      if (c == '*' || c == '?' || c == '[' || c == '\\') out += '\\';
      out += c;
    }
  }
  if (absl::EndsWith(out, " ")) out.insert(out.size() - 1, "\\");
  return out;
}

bool BringsBackBelow(const PatternFile& file, absl::string_view directory) {
  if (!file.directory.empty()) {
    if (!absl::StartsWith(directory, file.directory) || directory.size() <= file.directory.size() ||
        directory[file.directory.size()] != '/')
      return false;
    directory.remove_prefix(file.directory.size() + 1);
  }
  return std::any_of(file.patterns.begin(), file.patterns.end(), [&](const Pattern& pattern) {
    return pattern.negated && pattern.anchored && LeadsBelow(pattern.glob, directory);
  });
}

}  // namespace riseml::sync
