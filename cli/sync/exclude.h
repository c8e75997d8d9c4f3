// Which entries of a project stay out of its revisions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/sync/ignore.h"

namespace riseml::sync {

struct Exclusion {
  std::string reason;
  bool secret = false;
};

// The rules for the directories from the project's root down to the one being looked at: enter each, leave each.
// Built-in rules first, then .risemlignore files; or, when the root has none, .gitignore files (a .risemlignore beside
// one replaces it) and .git/info/exclude. Lives on one thread.
class Excluder {
 public:
  // Reads what lies at the project's root and, for .gitignore, above it up to the root of the git work tree.
  static absl::StatusOr<Excluder> Open(const std::string& root);

  // `directory` is relative to the project. Each Enter but the root's, which Open does, is followed by a Leave.
  absl::Status Enter(const std::string& directory);
  void Leave() { files_.pop_back(); }

  // Why the entry stays out; absent when it belongs to the revision. `path` lies in the directory entered last.
  std::optional<Exclusion> Check(absl::string_view path, bool is_directory) const;

 private:
  explicit Excluder(std::string root) : root_(std::move(root)) {}
  absl::Status ReadGitFiles();

  std::string root_;
  bool only_riseml_ = false;        // the root has a .risemlignore
  std::vector<PatternFile> files_;  // outer ones first
};

}  // namespace riseml::sync
