// Walks a project's directory and decides which files belong to a revision, and why.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/git/tree.h"

namespace riseml::sync {

// Marks that tell whether a file is still the one that was read.
struct FileStamp {
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;  // ctime
  std::int64_t bytes = 0;
  std::uint64_t inode = 0;
  std::uint32_t mode = 0;  // type and permissions, as stat has them

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

FileStamp ToStamp(const struct stat& info);

struct ScannedFile {
  std::string path;  // relative to the project, '/' between parts
  git::Mode mode = git::Mode::kFile;
  FileStamp stamp;
  std::string link_target;  // of a symbolic link
  std::string why;          // rule that brings the file in although another one would leave it out; empty: none does
};

struct SkippedPath {
  std::string path;  // a directory ends in '/'
  std::string reason;
  bool secret = false;      // looks like a secret; `!path` in .risemlignore brings it back
  bool expected = false;    // nobody misses it: caches, installed packages, git's own directory, settings of runs
  bool dvc = false;         // DVC keeps it: a file of the same name with .dvc lies beside it
  bool tracked = false;     // git tracks it
  bool partly = false;      // some files below it are part of the revision
  bool kept_out = false;    // the user's own .risemlignore names it
  std::string link_target;  // of a symbolic link that leads out of the project
  std::int64_t files = 1;
  std::int64_t bytes = 0;
  bool measured = true;  // false: there is more than `files` and `bytes` say
};

struct Scan {
  std::vector<ScannedFile> files;        // sorted by path
  std::vector<std::string> directories;  // without a file of the revision below them; sorted
  std::int64_t total_bytes = 0;          // of the files
  std::vector<SkippedPath> skipped;      // the first 10,000
  std::int64_t skipped_count = 0;
  std::vector<std::string> links_outside;      // "data -> /mnt/data": links that lead out of the project, sorted
  std::vector<std::string> links_to_left_out;  // "best -> ckpt/1.pt": links to what was left out, sorted
  std::vector<std::string> tracked_secrets;    // files that look like secrets and that git tracks, sorted
  std::vector<std::string> empty_submodules;   // paths of submodules that are not checked out, sorted
  bool in_git = false;                         // the project lies in a git work tree
  std::vector<std::string> warnings;           // sentences, at most 100
};

struct ScanOptions {
  // Number of entries of excluded directories that are counted to estimate their size.
  std::int64_t measured_entries = 2'000;
  bool measures_expected = false;  // also of those nobody misses, such as .git and virtual environments
};

// Most files and directories that a project may hold; ScanProject refuses more.
inline constexpr std::int64_t kMaxScannedFiles = 1'000'000;

// Walks the project. Symbolic links are taken as they are and never followed. Errors name the path: a name that cannot
// be stored, a directory that cannot be read.
absl::StatusOr<Scan> ScanProject(const std::string& root, const ScanOptions& options = {});

// lstat of one file as ScanProject saw it. NOT_FOUND.
absl::StatusOr<FileStamp> StampOf(const std::string& path);

}  // namespace riseml::sync
