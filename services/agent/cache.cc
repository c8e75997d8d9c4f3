#include "services/agent/cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/walk_tree.h"

namespace riseml::agent {
namespace {

constexpr std::size_t kMaxCacheFiles = 2'000'000;
constexpr std::int64_t kUntouchableSeconds = 3600;

struct CachedFile {
  std::int64_t used = 0;  // seconds since 1970
  std::int64_t bytes = 0;
  std::string path;
};

}  // namespace

absl::Status TrimCache(const std::string& directory, std::int64_t bytes_limit, std::int64_t now_seconds) {
  std::vector<CachedFile> files;
  std::int64_t total = 0;
  const LookAtEntry look = [&](const TreeEntry& entry) -> absl::StatusOr<bool> {
    if (files.size() >= kMaxCacheFiles) return false;
    const std::string path = absl::StrCat(directory, "/", entry.path);
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return true;
    total += status.st_blocks * 512;
    files.push_back({std::max(status.st_atim.tv_sec, status.st_mtim.tv_sec), status.st_blocks * 512, path});
    return true;
  };
  // What cannot be listed does not count; the rest is still to be trimmed.
  WalkTree(directory, look, Unreadable::kIsSkipped).IgnoreError();
  if (total <= bytes_limit) return absl::OkStatus();
  std::ranges::sort(files, {}, &CachedFile::used);
  for (const CachedFile& file : files) {
    if (total <= bytes_limit / 5 * 4 || file.used > now_seconds - kUntouchableSeconds) break;
    if (unlink(file.path.c_str()) != 0 && errno != ENOENT) return ErrnoError(errno, absl::StrCat("remove ", file.path));
    total -= file.bytes;
  }
  return absl::OkStatus();
}

}  // namespace riseml::agent
