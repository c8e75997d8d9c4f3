// gitignore's language: patterns, files of patterns, and which of them decides. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::sync {

// One line of an ignore file.
struct Pattern {
  std::string glob;             // without '!', leading and trailing '/'
  std::string text;             // as written, for messages
  bool negated = false;         // brings back what an earlier pattern ignored
  bool directory_only = false;  // written with a trailing '/'
  bool anchored = false;        // matches the path from the file's directory, not a name anywhere below
};

// The patterns of one file, or built-in ones.
struct PatternFile {
  std::string source;             // "models/.gitignore", for messages
  std::string directory;          // directory the patterns count from, relative to the project; empty: its root
  std::string above;              // for a file above the project: path from its directory to the project, else empty
  std::vector<Pattern> patterns;  // the last match decides
};

// Patterns of an ignore file's text: comments, blank lines, escapes and trailing spaces as git reads them.
std::vector<Pattern> ParsePatterns(absl::string_view text);

// git's wildmatch with WM_PATHNAME: '*' and '?' stop at '/', "**" between slashes does not. A broken pattern matches
// nothing.
bool WildMatch(absl::string_view pattern, absl::string_view text);

// The pattern that decides about a path (relative to the project, without trailing '/'): the last match of the last
// file in order that has one; nullptr when none has. `file` gets the file it stands in, when not nullptr.
const Pattern* FindPattern(const std::vector<PatternFile>& files, absl::string_view path, bool is_directory,
                           const PatternFile** file = nullptr);

// Returns a pattern for a file at the project's root that matches this path alone: "/data\[1].csv".
std::string PatternFor(absl::string_view path);

// True when a pattern of `file` that brings something back names a path below the directory: "!data/train.csv" for
// "data". Patterns that match a name anywhere do not count, as in git.
bool BringsBackBelow(const PatternFile& file, absl::string_view directory);

}  // namespace riseml::sync
