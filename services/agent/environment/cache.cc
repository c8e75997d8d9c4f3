#include "services/agent/environment/cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "services/common/base/files/beneath.h"
#include "services/common/base/files/file.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::size_t kMaxCacheFiles = 2'000'000;
constexpr std::int64_t kUntouchableSeconds = 3600;

struct CachedFile {
  std::int64_t used = 0;  // seconds since 1970
  std::int64_t bytes = 0;
  std::string path;  // below the cache
};

}  // namespace

absl::Status TrimCache(const std::string& directory, std::int64_t bytes_limit, std::int64_t now_seconds) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd top, OpenFile(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  std::vector<CachedFile> files;
  std::int64_t total = 0;
  const LookAtEntry look = [&](const TreeEntry& entry) -> absl::StatusOr<bool> {
    if (files.size() >= kMaxCacheFiles) return false;
    struct stat status {};
    if (fstatat(top.get(), entry.path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
      return true;
    total += status.st_blocks * 512;
    files.push_back({std::max(status.st_atim.tv_sec, status.st_mtim.tv_sec), status.st_blocks * 512, entry.path});
    return true;
  };
  // Directories that cannot be listed do not count; the rest is trimmed all the same.
  WalkTree(directory, look, Unreadable::kIsSkipped).IgnoreError();
  if (total <= bytes_limit) return absl::OkStatus();
  std::ranges::sort(files, {}, &CachedFile::used);
  for (const CachedFile& file : files) {
    if (total <= bytes_limit / 5 * 4 || file.used > now_seconds - kUntouchableSeconds) break;
    RISEML_RETURN_IF_ERROR(RemoveBeneath(top.get(), file.path));
    total -= file.bytes;
  }
  return absl::OkStatus();
}

}  // namespace riseml::agent
