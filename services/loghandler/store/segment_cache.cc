#include "services/loghandler/store/segment_cache.h"

#include <fcntl.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"
#include "services/loghandler/store/segment.h"

namespace riseml::loghandler {

std::shared_ptr<const SegmentFile> SegmentCache::Find(const std::string& path, bool with_index) {
  MutexLock lock(mu_);
  const auto it = by_path_.find(path);
  if (it == by_path_.end() || (with_index && !(*it->second)->index.has_value())) return nullptr;
  files_.splice(files_.begin(), files_, it->second);
  return files_.front();
}

absl::StatusOr<std::shared_ptr<const SegmentFile>> SegmentCache::Open(const std::string& path, bool with_index) {
  if (std::shared_ptr<const SegmentFile> found = Find(path, with_index); found != nullptr) return found;
  auto file = std::make_shared<SegmentFile>();
  file->path = path;
  RISEML_ASSIGN_OR_RETURN(file->fd, OpenFile(path, O_RDONLY));
  if (with_index) {
    RISEML_ASSIGN_OR_RETURN(file->index, ReadIndex(file->fd.get(), path));
  }
  MutexLock lock(mu_);
  if (const auto it = by_path_.find(path); it != by_path_.end()) {
    files_.erase(it->second);
    by_path_.erase(it);
  }
  files_.push_front(file);
  by_path_[path] = files_.begin();
  if (files_.size() > capacity_) {
    by_path_.erase(files_.back()->path);
    files_.pop_back();
  }
  return file;
}

void SegmentCache::Forget(absl::string_view directory) {
  const std::string prefix = absl::StrCat(directory, "/");
  MutexLock lock(mu_);
  for (auto it = files_.begin(); it != files_.end();) {
    if (absl::StartsWith((*it)->path, prefix)) {
      by_path_.erase((*it)->path);
      it = files_.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace riseml::loghandler
