#include "cli/sync/measure.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/string_view.h"

namespace riseml::sync {
namespace {

constexpr int kMaxMeasuredDepth = 60;

void Count(int parent, const char* name, int depth, std::int64_t& budget, Amount& amount) {
  const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  DIR* raw = fdopendir(fd);
  if (raw == nullptr) {
    close(fd);
    return;
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(raw, &closedir);
  bool empty = true;
  while (const dirent* entry = readdir(raw)) {
    const absl::string_view child = entry->d_name;
    if (child == "." || child == "..") continue;
    empty = false;
    if (--budget < 0 || depth >= kMaxMeasuredDepth) {
      amount.complete = false;
      break;
    }
    struct stat info {};
    if (fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      Count(fd, entry->d_name, depth + 1, budget, amount);
    } else {
      ++amount.files;
      amount.bytes += S_ISREG(info.st_mode) ? info.st_size : 0;
    }
  }
  if (depth == 0) amount.empty = empty;
}

}  // namespace

Amount MeasureDirectory(int parent, const std::string& name, std::int64_t& budget) {
  Amount amount;
  Count(parent, name.c_str(), 0, budget, amount);
  return amount;
}

}  // namespace riseml::sync
