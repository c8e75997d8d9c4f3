// Reads git's own files to learn about the files of a work tree. Needs neither git nor libgit2.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace riseml::sync {

// The files of a repository for one work tree.
struct GitDirectory {
  std::string work_tree;  // directory with the entry .git
  std::string git;        // holds `index`
  std::string common;     // holds `info/exclude` and `config`; differs from `git` only in a linked work tree
};

// Returns the git directory of `work_tree`, whose entry .git is a directory or a file that names one. All paths are
// empty when there is none.
GitDirectory OpenGitDirectory(const std::string& work_tree);

// Paths that git tracks, relative to the project.
class TrackedFiles {
 public:
  TrackedFiles() = default;
  TrackedFiles(std::vector<std::string> files, std::vector<std::string> submodules);

  bool Contains(absl::string_view path) const;
  // True when a tracked file or a submodule lies below the directory, or the directory is a submodule.
  bool HasBelow(absl::string_view directory) const;
  const std::vector<std::string>& files() const { return files_; }
  const std::vector<std::string>& submodules() const { return submodules_; }
  bool empty() const { return files_.empty() && submodules_.empty(); }

 private:
  std::vector<std::string> files_;       // sorted
  std::vector<std::string> submodules_;  // sorted
};

// Reads the index. Returns the paths below `prefix` ("" or "a/b/"), with `prefix` replaced by `mount`. An absent index
// tracks nothing; one that cannot be read tracks nothing and adds a sentence to `warnings`.
TrackedFiles ReadTrackedFiles(const GitDirectory& directory, absl::string_view prefix, absl::string_view mount,
                              std::vector<std::string>& warnings);

// Paths of the submodules that the text of a .gitmodules file names, sorted.
std::vector<std::string> ParseGitModules(absl::string_view text);

}  // namespace riseml::sync
