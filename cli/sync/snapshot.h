// The state of a project's directory as git objects.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/sync/file_reader.h"
#include "cli/sync/walk.h"
#include "riseml/v1/file.pb.h"
#include "services/common/base/clock.h"
#include "services/common/git/object_id.h"

namespace riseml::sync {

struct SnapshotFile {
  ScannedFile file;
  git::ObjectId id;
  bool hashed = false;  // read for this snapshot, not taken from the cache
};

struct SnapshotTree {
  git::ObjectId id;
  std::string content;
};

struct Snapshot {
  std::string root;  // the project's directory
  git::ObjectId tree;
  std::vector<SnapshotFile> files;  // sorted by path
  std::vector<SnapshotTree> trees;  // each once, the root tree last
  std::int64_t total_bytes = 0;
  std::vector<SkippedPath> skipped;
  std::int64_t skipped_count = 0;
  std::vector<std::string> warnings;
  absl::Duration window;  // from first looking at the files to having read them all
};

struct SnapshotOptions {
  std::string root;
  std::string cache_directory;  // empty: DefaultCacheDirectory(root)
  v1::Limits limits;            // of the server; a limit of 0 is none
  const Clock* clock = nullptr;
  Sleep sleep = SystemSleep;
};

// Scans the project, checks the limits before it reads any file, reads what changed. FILE_CHANGED names a file that
// does not keep still; LIMIT_EXCEEDED the largest offenders. Every file is consistent in itself; the project as a whole
// is as it was within `window`.
absl::StatusOr<Snapshot> TakeSnapshot(const SnapshotOptions& options);

// LIMIT_EXCEEDED with the offenders and the line to add to .risemlignore.
absl::Status CheckLimits(const Scan& scan, const v1::Limits& limits);

// The `count` largest files, largest first.
std::vector<ScannedFile> LargestFiles(const std::vector<SnapshotFile>& files, std::size_t count);

// Builds the trees of files sorted by path. Pure.
std::vector<SnapshotTree> BuildTrees(const std::vector<SnapshotFile>& files);

// Paths of files read for the snapshot that are not any more what was read.
std::vector<std::string> ChangedSince(const Snapshot& snapshot);

}  // namespace riseml::sync
