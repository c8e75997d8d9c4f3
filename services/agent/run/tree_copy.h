// Copies directory trees. Blocks are shared where the file system can do so; links are copied and never followed. A
// text, such as the key of an environment, can be replaced by another one of the same length.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace riseml::agent {

// A text and its replacement. Both have the same length, so that binary files stay valid; empty: nothing is replaced.
struct Replacement {
  std::string from;
  std::string to;

  std::string In(absl::string_view text) const;
};

// True for an entry to copy, given its path below the tree. Entries of a directory that is not copied are not copied
// either.
using WantsEntry = std::function<bool(const std::string& path)>;

struct CopyRules {
  WantsEntry wants = {};                    // empty: everything is copied
  Replacement replacement = {};             // in names, in the targets of links and in `files`
  std::set<std::string> files = {};         // paths below the tree
  std::optional<absl::Time> modified = {};  // time of modification of all files; absent: each keeps its own
  std::stop_token stop;
};

// Copies files, links and directories below `from` to the directory `to`, which must exist; sockets and pipes are left
// out. Entries that exist in `to` stay. Times (except for `modified`) and permissions of files are kept; the owner may
// read and write all copies. CANCELLED if stopped.
absl::Status CopyTree(const std::string& from, const std::string& to, const CopyRules& rules);

// Size of a directory tree.
struct TreeSize {
  std::int64_t files = 0;
  std::int64_t bytes = 0;
};
absl::StatusOr<TreeSize> MeasureTree(const std::string& top, const WantsEntry& wants);

// Paths below `top` of the files that contain `text`.
absl::StatusOr<std::vector<std::string>> FilesHolding(const std::string& top, absl::string_view text);

}  // namespace riseml::agent
