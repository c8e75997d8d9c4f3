#include "services/agent/output/output_size.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr int kOpenMeasured = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t kMayLook = S_IRUSR | S_IXUSR;
constexpr std::int64_t kBlock = 512;  // unit of st_blocks on every file system

struct CloseMeasured {
  void operator()(DIR* directory) const { closedir(directory); }
};

// A directory on the path from the top to the current directory of the walk.
struct MeasuredLevel {
  dev_t device = 0;
  ino_t inode = 0;
  std::optional<mode_t> closed;          // mode to restore
  std::vector<std::string> directories;  // subdirectories that are still to be counted
};

// Goes down by names and up by "..", so that only the current directory has a descriptor.
class AllocationWalk {
 public:
  AllocationWalk(const std::stop_token& stop, std::int64_t most_entries) : stop_(stop), left_(most_entries) {}

  absl::StatusOr<AllocatedSize> Measure(UniqueFd parent, const std::string& top) {
    here_ = std::move(parent);
    RISEML_RETURN_IF_ERROR(Enter(top));
    while (!levels_.empty()) {
      if (stop_.stop_requested()) return absl::CancelledError("stopped");
      if (levels_.back().directories.empty()) {
        if (!Leave()) break;
        continue;
      }
      const std::string name = std::move(levels_.back().directories.back());
      levels_.back().directories.pop_back();
      RISEML_RETURN_IF_ERROR(Enter(name));
    }
    return size_;
  }

 private:
  // Counts the entries of the directory that was entered, and notes its subdirectories.
  absl::Status Arrive(std::optional<mode_t> closed) {
    struct stat info {};
    if (fstat(here_.get(), &info) != 0) return ErrnoError(errno, "look at a directory");
    if (levels_.empty()) Count(info);
    levels_.push_back({info.st_dev, info.st_ino, closed, {}});
    const int list = openat(here_.get(), ".", kOpenMeasured);
    const std::unique_ptr<DIR, CloseMeasured> directory(list < 0 ? nullptr : fdopendir(list));
    if (directory == nullptr) {
      const int error = errno;
      if (list >= 0) close(list);
      return ErrnoError(error, "list a directory");
    }
    while (const dirent* entry = readdir(directory.get())) {
      const absl::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (left_ == 0 || stop_.stop_requested()) {
        size_.at_least = true;
        return absl::OkStatus();
      }
      --left_;
      Look(entry->d_name);
    }
    return absl::OkStatus();
  }

  void Look(const char* name) {
    struct stat info {};
    if (fstatat(here_.get(), name, &info, AT_SYMLINK_NOFOLLOW) != 0) return;  // it has vanished
    if (info.st_dev != levels_.back().device) return;
    if (!S_ISDIR(info.st_mode) && info.st_nlink > 1 && !seen_.insert(info.st_ino).second) return;
    Count(info);
    if (S_ISDIR(info.st_mode)) levels_.back().directories.emplace_back(name);
  }

  void Count(const struct stat& info) { size_.bytes += info.st_blocks * kBlock; }

  absl::Status Enter(const std::string& name) {
    const UniqueFd path(openat(here_.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat info {};
    if (!path.valid() || fstat(path.get(), &info) != 0) return absl::OkStatus();  // it has vanished, or is no directory
    std::optional<mode_t> closed;
    if ((info.st_mode & kMayLook) != kMayLook && info.st_uid == geteuid()) {
      closed = info.st_mode & ALLPERMS;
      ChangeMode(path.get(), *closed | kMayLook);
    }
    UniqueFd next(openat(path.get(), ".", kOpenMeasured));
    if (!next.valid()) {
      size_.at_least = true;
      return absl::OkStatus();
    }
    here_ = std::move(next);
    return Arrive(closed);
  }

  // Goes up. False at the top, or if the directory has been moved elsewhere meanwhile.
  bool Leave() {
    const std::optional<mode_t> closed = levels_.back().closed;
    levels_.pop_back();
    UniqueFd above;
    if (!levels_.empty()) above = UniqueFd(openat(here_.get(), "..", kOpenMeasured));
    if (closed) ChangeMode(here_.get(), *closed);
    if (levels_.empty()) return false;
    struct stat info {};
    const bool found = above.valid() && fstat(above.get(), &info) == 0 && info.st_dev == levels_.back().device &&
                       info.st_ino == levels_.back().inode;
    if (!found) size_.at_least = true;
    here_ = std::move(above);
    return found;
  }

  // If the mode cannot be opened up, the directory cannot be listed and counts as `at_least`; a failure to restore it
  // is ignored.
  static void ChangeMode(int directory, mode_t mode) {
    [[maybe_unused]] const int done = chmod(absl::StrCat("/proc/self/fd/", directory).c_str(), mode);
  }

  const std::stop_token& stop_;
  std::int64_t left_;  // entries that may still be counted
  AllocatedSize size_;
  UniqueFd here_;
  std::vector<MeasuredLevel> levels_;
  std::set<ino_t> seen_;  // files with several names
};

}  // namespace

absl::StatusOr<AllocatedSize> MeasureAllocated(UniqueFd parent, const std::string& name, const std::stop_token& stop,
                                               std::int64_t most_entries) {
  return AllocationWalk(stop, most_entries).Measure(std::move(parent), name);
}

}  // namespace riseml::agent
