// Segment files opened for reading, the most recently used ones kept open with their indexes.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"
#include "services/common/base/mutex.h"
#include "services/loghandler/store/segment_format.h"

namespace riseml::loghandler {

struct SegmentFile {
  std::string path;
  UniqueFd fd;
  std::optional<SegmentIndex> index;  // of files that do not grow any more
};

// Thread-safe. Holds at most `capacity` files; one that is in use stays open until its last user is done.
class SegmentCache {
 public:
  explicit SegmentCache(std::size_t capacity) : capacity_(capacity) {}

  // A file that does not grow any more, with its index.
  absl::StatusOr<std::shared_ptr<const SegmentFile>> OpenIndexed(const std::string& path) { return Open(path, true); }
  // Opens a file without its index, for a caller that has the entries of the index already.
  absl::StatusOr<std::shared_ptr<const SegmentFile>> OpenRaw(const std::string& path) { return Open(path, false); }
  // Forgets the files below a directory; one in use stays open until its last user is done.
  void Forget(absl::string_view directory);

 private:
  absl::StatusOr<std::shared_ptr<const SegmentFile>> Open(const std::string& path, bool with_index);
  std::shared_ptr<const SegmentFile> Find(const std::string& path, bool with_index);

  using Files = std::list<std::shared_ptr<const SegmentFile>>;  // most recently used first
  const std::size_t capacity_;
  Mutex mu_;
  Files files_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, Files::iterator> by_path_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::loghandler
