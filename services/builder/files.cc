#include "services/builder/files.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace riseml::builder {
namespace {

constexpr absl::string_view kSystemTools[] = {"apt-get",    "apt", "aptitude", "dpkg", "conda",  "mamba",
                                              "micromamba", "yum", "dnf",      "apk",  "zypper", "pacman"};
// Words that may stand in front of the command they run.
constexpr absl::string_view kPrefixes[] = {"sudo", "env", "exec", "command", "time", "nice"};

struct Word {
  std::string text;
  bool starts_command = false;  // first word, or first behind ; & | ( or a line break
};

// Words as a shell would split them; quotes are removed, nothing is expanded.
std::vector<Word> SplitWords(absl::string_view step) {
  std::vector<Word> words;
  std::string text;
  bool in_word = false;
  bool at_start = true;
  char quote = '\0';
  const auto finish = [&] {
    if (in_word) {
      words.push_back({text, at_start});
      at_start = false;
    }
    text.clear();
    in_word = false;
  };
  for (std::size_t i = 0; i < step.size(); ++i) {
    const char c = step[i];
    if (quote != '\0') {
      if (c == quote) {
        quote = '\0';
      } else {
        text += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == '\\' && i + 1 < step.size()) {
      if (step[++i] == '\n') continue;
      text += step[i];
      in_word = true;
    } else if (absl::StrContains(";&|()\n", absl::string_view(&c, 1))) {
      finish();
      at_start = true;
    } else if (absl::ascii_isspace(static_cast<unsigned char>(c)) || c == '<' || c == '>') {
      finish();
    } else {
      text += c;
      in_word = true;
    }
  }
  finish();
  return words;
}

bool IsAssignment(absl::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == absl::string_view::npos || equals == 0) return false;
  return std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals),
                     [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; });
}

absl::string_view BaseName(absl::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

// The part of a word that may be a path: without option and extras; empty when there is none.
absl::string_view PathPart(absl::string_view word) {
  if (absl::StartsWith(word, "--")) {
    const std::size_t equals = word.find('=');
    return equals == absl::string_view::npos ? absl::string_view() : word.substr(equals + 1);
  }
  if (absl::StartsWith(word, "-r") || absl::StartsWith(word, "-c") || absl::StartsWith(word, "-e"))
    return word.substr(2);
  if (absl::StartsWith(word, "-")) return {};
  return word;
}

// "./a//b/" as "a/b"; nullopt when the path leaves the tree; empty for the root itself.
std::optional<std::string> Normalise(absl::string_view path) {
  std::vector<absl::string_view> parts;
  for (const absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part == "..") {
      if (parts.empty()) return std::nullopt;
      parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  return absl::StrJoin(parts, "/");
}

}  // namespace

NamedFiles FilesOf(absl::string_view install_step) {
  NamedFiles named;
  std::set<std::string> paths, directories;
  for (const Word& word : SplitWords(install_step)) {
    if (word.starts_command && (word.text == "cd" || word.text == "pushd" || word.text == "make")) {
      named.whole_tree = true;
      continue;
    }
    absl::string_view path = PathPart(word.text);
    if (path.empty() || path[0] == '/' || path[0] == '~' || absl::StrContains(path, "://")) continue;
    if (path.find_first_of("$`*?") != absl::string_view::npos) {
      named.whole_tree = true;  // what it stands for is known to the shell only
      continue;
    }
    if (absl::EndsWith(path, "]")) path = path.substr(0, path.rfind('['));
    if (BaseName(path) == "setup.py") named.whole_tree = true;
    const std::optional<std::string> normal = Normalise(path);
    if (!normal) continue;
    if (normal->empty()) {
      named.whole_tree |= !path.empty();
      continue;
    }
    paths.insert(*normal);
    if (path.find('/') != absl::string_view::npos) directories.insert(*normal);
  }
  named.paths.assign(paths.begin(), paths.end());
  named.paths_or_directories.assign(directories.begin(), directories.end());
  return named;
}

std::string SystemPackageTool(absl::string_view install_step) {
  bool at_start = false;
  for (const Word& word : SplitWords(install_step)) {
    at_start |= word.starts_command;
    if (!at_start) continue;
    const absl::string_view name = BaseName(word.text);
    if (IsAssignment(word.text) || std::ranges::count(kPrefixes, name) > 0 || absl::StartsWith(name, "-")) continue;
    if (std::ranges::count(kSystemTools, name) > 0) return std::string(name);
    at_start = false;
  }
  return "";
}

}  // namespace riseml::builder
