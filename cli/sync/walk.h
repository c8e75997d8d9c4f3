// Looks at a project's directory: which files belong to a revision, which do not, and why.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/git/tree.h"

namespace riseml::sync {

// What tells that a file is still the one that was read.
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
};

struct SkippedPath {
  std::string path;  // a directory ends in '/'
  std::string reason;
  bool secret = false;  // looks like a secret; `!path` in .risemlignore brings it back
};

struct Scan {
  std::vector<ScannedFile> files;    // sorted by path
  std::int64_t total_bytes = 0;      // of the files
  std::vector<SkippedPath> skipped;  // the first 1,000, and as many secrets
  std::int64_t skipped_count = 0;
  std::vector<std::string> warnings;  // sentences, at most 100
};

// Files nobody looks at any more once this many were found.
inline constexpr std::int64_t kMaxScannedFiles = 1'000'000;

// Walks the project. Symbolic links are not followed. Errors name the path: a link that leaves the project, a name that
// cannot be stored, a directory that cannot be read.
absl::StatusOr<Scan> ScanProject(const std::string& root);

// lstat of one file as ScanProject saw it. NOT_FOUND.
absl::StatusOr<FileStamp> StampOf(const std::string& path);

}  // namespace riseml::sync
