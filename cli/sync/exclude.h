// Decides which files are excluded from a revision.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/sync/default_rules.h"
#include "cli/sync/git_files.h"
#include "cli/sync/ignore.h"

namespace riseml::sync {

// Says whether an entry belongs to the revision, and which rule decided it.
struct Decision {
  enum class Rule {
    kNone,          // no rule: it belongs to the revision
    kBroughtBack,   // `!pattern` of .risemlignore
    kTracked,       // git tracks it; `reason` is what would have left it out
    kNever,         // git's own directory; nothing brings it back
    kRisemlIgnore,  // a pattern of .risemlignore
    kGitIgnore,     // a pattern of .gitignore, .git/info/exclude or the user's own list for git
    kSecret,
    kDefault,  // caches, installed packages, settings of runs
  };
  Rule rule = Rule::kNone;
  std::string reason;   // "*.log in .gitignore"
  bool secret = false;  // looks like a secret, whatever the rule

  bool taken() const { return rule <= Rule::kTracked; }
};

// Holds the rules of the directories from the project's root down to the current one; enter and leave each directory in
// turn. The first rule that applies decides: .risemlignore; git's index; git's ignore files; names of secrets;
// defaults. Lives on one thread.
class Excluder {
 public:
  // Reads git's files at the project's root and above it, up to the root of the git work tree. Enters no directory.
  static absl::StatusOr<Excluder> Open(const std::string& root);

  // `directory` is relative to the project, "" being its root; `names` are its sorted entries.
  absl::Status Enter(const std::string& directory, const std::vector<std::string>& names);
  void Leave();

  // `path` lies in the directory entered last.
  Decision Check(absl::string_view path, bool is_directory) const;

  // The rule for a directory that holds `names` and that Check has let through with `decision`.
  Decision CheckContents(absl::string_view path, const Decision& decision, const std::vector<std::string>& names,
                         const ReadEntry& read) const;

  // True when something below a directory that `decision` leaves out still belongs to the revision.
  bool ReachesBelow(absl::string_view directory, const Decision& decision) const;

  bool IsTracked(absl::string_view path) const;
  // Submodules of the repository, relative to the project, sorted; known once the root was entered.
  const std::vector<std::string>& submodules() const { return submodules_; }
  bool in_git() const { return !work_tree_.empty(); }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  explicit Excluder(std::string root) : root_(std::move(root)) {}
  absl::Status ReadGitFiles();
  bool IsIgnoredAsAWhole(const std::string& project) const;
  void ForgetRepository();
  absl::Status EnterRepository(const std::string& directory);
  Decision Ordinary(absl::string_view path, bool is_directory) const;

  // The rules that one call of Enter added.
  struct Level {
    std::size_t riseml = 0, git = 0, tracked = 0;
  };
  std::string root_;
  std::string work_tree_;              // top of the git work tree; empty: none
  std::vector<PatternFile> riseml_;    // outer ones first
  std::vector<PatternFile> git_;       // outer ones first
  std::vector<TrackedFiles> tracked_;  // of the repository, then of those inside it
  std::vector<Level> levels_;
  std::vector<std::string> submodules_;
  std::vector<std::string> warnings_;
};

// Returns the decision that keeps a path out of the revision; absent if it is part of it. Looks at each directory on
// the way.
absl::StatusOr<std::optional<Decision>> WhyLeftOut(const std::string& root, absl::string_view path);

// Entries of a directory, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(int fd, const std::string& path);

}  // namespace riseml::sync
