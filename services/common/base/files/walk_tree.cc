#include "services/common/base/files/walk_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml {
namespace {

constexpr int kMaxDepth = 200;
constexpr int kOpenListed = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct CloseListed {
  void operator()(DIR* directory) const { closedir(directory); }
};
using ListedDirectory = std::unique_ptr<DIR, CloseListed>;

ListedDirectory OpenListed(int parent, const char* name, int flags) {
  const int fd = openat(parent, name, flags);
  if (fd < 0) return nullptr;
  ListedDirectory directory(fdopendir(fd));
  if (directory == nullptr) close(fd);
  return directory;
}

class TreeWalker {
 public:
  TreeWalker(const std::string& top, const LookAtEntry& look, Unreadable unreadable)
      : top_(top), look_(look), unreadable_(unreadable) {}

  absl::Status Walk(DIR* directory, const std::string& path, int depth) const {
    while (true) {
      errno = 0;
      const dirent* const listed = readdir(directory);
      if (listed == nullptr) return errno == 0 ? absl::OkStatus() : Fail(path);
      const absl::string_view name = listed->d_name;
      if (name == "." || name == "..") continue;
      const TreeEntry entry{path.empty() ? std::string(name) : absl::StrCat(path, "/", name),
                            IsDirectory(directory, *listed)};
      RISEML_ASSIGN_OR_RETURN(const bool go_on, look_(entry));
      if (go_on && entry.is_directory) RISEML_RETURN_IF_ERROR(Enter(directory, listed->d_name, entry.path, depth + 1));
    }
  }

 private:
  static bool IsDirectory(DIR* parent, const dirent& listed) {
    if (listed.d_type != DT_UNKNOWN) return listed.d_type == DT_DIR;
    struct stat info {};
    return fstatat(dirfd(parent), listed.d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
  }

  absl::Status Enter(DIR* parent, const char* name, const std::string& path, int depth) const {
    if (depth > kMaxDepth)
      return unreadable_ == Unreadable::kIsSkipped
                 ? absl::OkStatus()
                 : Error(Reason::kLimitExceeded, absl::StrCat("list ", top_, ": directories are nested too deeply"));
    const ListedDirectory directory = OpenListed(dirfd(parent), name, kOpenListed);
    if (directory != nullptr) return Walk(directory.get(), path, depth);
    // It has vanished, or something else has taken its name.
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return absl::OkStatus();
    if (errno == EACCES && unreadable_ == Unreadable::kIsSkipped) return absl::OkStatus();
    return Fail(path);
  }

  absl::Status Fail(const std::string& path) const {
    return ErrnoError(errno, absl::StrCat("list ", top_, path.empty() ? "" : "/", path));
  }

  const std::string& top_;
  const LookAtEntry& look_;
  const Unreadable unreadable_;
};

}  // namespace

absl::Status WalkTree(const std::string& top, const LookAtEntry& look, Unreadable unreadable) {
  const ListedDirectory directory = OpenListed(AT_FDCWD, top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory == nullptr) return ErrnoError(errno, absl::StrCat("list ", top));
  return TreeWalker(top, look, unreadable).Walk(directory.get(), "", 0);
}

std::int64_t DiskBytesBelow(const std::string& top) {
  constexpr std::int64_t kBlock = 512;  // unit of st_blocks on every file system
  std::set<std::pair<dev_t, ino_t>> counted;
  std::int64_t bytes = 0;
  const LookAtEntry look = [&](const TreeEntry& entry) {
    struct stat info {};
    if (lstat(absl::StrCat(top, "/", entry.path).c_str(), &info) != 0) return false;
    if (info.st_nlink > 1 && !S_ISDIR(info.st_mode) && !counted.emplace(info.st_dev, info.st_ino).second) return false;
    bytes += info.st_blocks * kBlock;
    return true;
  };
  WalkTree(top, look, Unreadable::kIsSkipped).IgnoreError();
  return bytes;
}

}  // namespace riseml
