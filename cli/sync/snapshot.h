// The state of a project's directory as git objects.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/sync/file_reader.h"
#include "cli/sync/spool.h"
#include "cli/sync/walk.h"
#include "riseml/v1/file.pb.h"
#include "services/common/base/clock.h"
#include "services/common/git/object_id.h"

namespace riseml::sync {

struct SnapshotFile {
  ScannedFile file;
  git::ObjectId id;
  bool hashed = false;                 // read for this snapshot, not taken from the cache
  std::optional<SpooledFile> spooled;  // copy in Snapshot.spool that has the bytes of `id`
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
  Scan scan;                              // what was found, without its files
  std::vector<std::string> lfs_pointers;  // files that stand for others that were not fetched, sorted
  std::vector<std::string> moving;        // files that changed while they were read; the copy is what counts
  std::vector<std::string> vanished;      // files that were gone before they were read
  std::vector<std::string> warnings;
  std::shared_ptr<Spool> spool;  // copies; may be null
  absl::Duration window;         // from the first look at the files to the end of reading them
};

// Selects the files that are copied while they are read, so that they are sent exactly as they were read.
enum class Copies {
  kNone,    // only those that change during the read
  kRecent,  // also those that changed within the last minute
  kAll,     // all files; the cache is not used
};

struct SnapshotOptions {
  std::string root;
  std::string cache_directory;  // empty: DefaultCacheDirectory(root)
  v1::Limits limits;            // of the server; a limit of 0 is none
  const Clock* clock = nullptr;
  Sleep sleep = SystemSleep;
  ScanOptions scan;
  Copies copies = Copies::kNone;
  std::vector<std::string> copied;  // sorted paths of files that are copied in any case
};

// Scans the project, checks the limits before it reads any file, reads what changed. A file that changes while it is
// read is in the snapshot as it was read; one that is gone is not in it. LIMIT_EXCEEDED names the largest offenders.
// Files are not read at one instant: each is as it was at some moment within `window`.
absl::StatusOr<Snapshot> TakeSnapshot(const SnapshotOptions& options);

// Lists the files of the project as TakeSnapshot does, but reads none: there are no ids, trees and copies.
absl::StatusOr<Snapshot> ListProject(const std::string& root);

// LIMIT_EXCEEDED with the offenders and the line to add to .risemlignore.
absl::Status CheckLimits(const Scan& scan, const v1::Limits& limits);

// Builds the trees of files and empty directories, both sorted by path. Pure.
std::vector<SnapshotTree> BuildTrees(const std::vector<SnapshotFile>& files,
                                     const std::vector<std::string>& directories = {});

// Paths of files that have changed since they were read for the snapshot.
std::vector<std::string> ChangedSince(const Snapshot& snapshot);

}  // namespace riseml::sync
