// Remembers the ids of files, so that an unchanged file is not read again. Only a cache: it may be lost or damaged at
// any time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/sync/walk.h"
#include "services/common/git/object_id.h"

namespace riseml::sync {

// Lives on one thread.
class IndexCache {
 public:
  // Reads a cache file; one that is absent, damaged or of another format version is an empty cache.
  static IndexCache Load(const std::string& path);

  // The id of a file that has not changed since it was remembered. Returns nothing for a file that had changed less
  // than 2 s before it was looked at: a later change may have left the same stamp.
  std::optional<git::ObjectId> Find(absl::string_view path, const FileStamp& stamp) const;

  void Put(absl::string_view path, const FileStamp& stamp, const git::ObjectId& id);

  // Replaces the cache file. `looked_at` is the time at which the run that filled this cache began to scan the files.
  absl::Status Save(const std::string& path, absl::Time looked_at) const;

  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    FileStamp stamp;
    git::ObjectId id;
  };
  absl::flat_hash_map<std::string, Entry> entries_;
  std::int64_t looked_at_ns_ = 0;
};

// Directory for the cache of a project: below $XDG_CACHE_HOME or ~/.cache, named by a hash of the project's absolute
// path. Empty when there is no home.
std::string DefaultCacheDirectory(const std::string& root);

}  // namespace riseml::sync
