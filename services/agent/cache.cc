#include "services/agent/cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;

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
  std::error_code error;
  fs::recursive_directory_iterator it(directory, fs::directory_options::skip_permission_denied, error), end;
  for (; !error && it != end && files.size() < kMaxCacheFiles; it.increment(error)) {
    struct stat status {};
    if (lstat(it->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    total += status.st_blocks * 512;
    files.push_back(
        {std::max(status.st_atim.tv_sec, status.st_mtim.tv_sec), status.st_blocks * 512, it->path().string()});
  }
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
