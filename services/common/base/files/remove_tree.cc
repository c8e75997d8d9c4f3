// RemoveTree of file.h. A job may leave hostile trees: a path of any length, directories that nobody may enter, a
// million files. Descriptors and memory are bounded for any tree.
//
// Each directory below the top is emptied of its files; its own directories are moved up into the top, so that the tree
// is never deeper than two. The top is looked through until nothing is left.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int kMostNames = 1000;  // tries for a name that is free

class TreeRemover {
 public:
  TreeRemover(std::string path, std::stop_token stop) : path_(std::move(path)), stop_(std::move(stop)) {}

  absl::Status Remove() {
    if (unlink(path_.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return absl::OkStatus();
    if (errno != EISDIR && errno != EPERM) return Fail("");
    absl::StatusOr<UniqueFd> top = OpenDirectory(AT_FDCWD, path_);
    if (HasReason(top.status(), Reason::kNotFound)) return absl::OkStatus();
    RISEML_ASSIGN_OR_RETURN(top_, std::move(top));
    while (true) {
      bool any = false;
      RISEML_RETURN_IF_ERROR(ForEach(top_.get(), [&](const dirent& entry) {
        any = true;
        return RemoveFromTop(entry);
      }));
      if (!any) break;
    }
    return rmdir(path_.c_str()) == 0 || errno == ENOENT ? absl::OkStatus() : Fail("");
  }

 private:
  absl::Status Fail(const std::string& name) const {
    return ErrnoError(errno, absl::StrCat("remove ", path_, name.empty() ? "" : "/…/", name));
  }

  // Opens a directory that belongs to us whatever its mode is.
  absl::StatusOr<UniqueFd> OpenDirectory(int parent, const std::string& name) const {
    UniqueFd fd(openat(parent, name.c_str(), kOpenDirectory));
    if (!fd.valid() && errno == EACCES && fchmodat(parent, name.c_str(), S_IRWXU, 0) == 0)
      fd = UniqueFd(openat(parent, name.c_str(), kOpenDirectory));
    if (!fd.valid()) return Fail(name);
    struct stat status {};
    // Removing an entry requires write permission on the directory.
    if (fstat(fd.get(), &status) != 0 || ((status.st_mode & S_IRWXU) != S_IRWXU && fchmod(fd.get(), S_IRWXU) != 0))
      return Fail(name);
    return fd;
  }

  // Calls `remove` for each entry. Reads from the beginning.
  absl::Status ForEach(int directory, const std::function<absl::Status(const dirent&)>& remove) const {
    const int own = openat(directory, ".", kOpenDirectory);
    if (own < 0) return Fail(".");
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(own), closedir);
    if (stream == nullptr) {
      close(own);
      return Fail(".");
    }
    while (true) {
      errno = 0;
      const dirent* const entry = readdir(stream.get());
      if (entry == nullptr) return errno == 0 ? absl::OkStatus() : Fail(".");
      if (stop_.stop_requested()) return absl::CancelledError(absl::StrCat("stopped while removing ", path_));
      if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
      RISEML_RETURN_IF_ERROR(remove(*entry));
    }
  }

  // True when the entry is gone, false when it is a directory that is not empty.
  absl::StatusOr<bool> RemoveEntry(int parent, const dirent& entry) const {
    if (entry.d_type != DT_DIR) {
      if (unlinkat(parent, entry.d_name, 0) == 0 || errno == ENOENT) return true;
      if (errno != EISDIR && errno != EPERM) return Fail(entry.d_name);
    }
    if (unlinkat(parent, entry.d_name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if (errno == ENOTEMPTY || errno == EEXIST) return false;
    return Fail(entry.d_name);
  }

  absl::Status RemoveFromTop(const dirent& entry) {
    RISEML_ASSIGN_OR_RETURN(const bool gone, RemoveEntry(top_.get(), entry));
    if (gone) return absl::OkStatus();
    const std::string name = entry.d_name;
    const absl::StatusOr<UniqueFd> directory = OpenDirectory(top_.get(), name);
    if (HasReason(directory.status(), Reason::kNotFound)) return absl::OkStatus();  // somebody else has removed it
    RISEML_RETURN_IF_ERROR(directory.status());
    RISEML_RETURN_IF_ERROR(
        ForEach(directory->get(), [&](const dirent& inner) { return RemoveOrMoveUp(*directory, inner); }));
    // Entries that were added meanwhile are found the next time.
    if (unlinkat(top_.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOTEMPTY || errno == EEXIST ||
        errno == ENOENT)
      return absl::OkStatus();
    return Fail(name);
  }

  absl::Status RemoveOrMoveUp(const UniqueFd& directory, const dirent& entry) {
    RISEML_ASSIGN_OR_RETURN(const bool gone, RemoveEntry(directory.get(), entry));
    if (gone) return absl::OkStatus();
    // Moving a directory to another parent requires write permission on it.
    const absl::Status opened = OpenDirectory(directory.get(), entry.d_name).status();
    if (HasReason(opened, Reason::kNotFound)) return absl::OkStatus();
    RISEML_RETURN_IF_ERROR(opened);
    for (int i = 0; i < kMostNames; ++i) {
      const std::string name = absl::StrCat(".", ++moved_);
      if (renameat(directory.get(), entry.d_name, top_.get(), name.c_str()) == 0 || errno == ENOENT)
        return absl::OkStatus();
      if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) break;
    }
    return Fail(entry.d_name);
  }

  const std::string path_;
  const std::stop_token stop_;
  UniqueFd top_;
  std::int64_t moved_ = 0;
};

}  // namespace

absl::Status RemoveTree(const std::string& path, std::stop_token stop) {
  return TreeRemover(path, std::move(stop)).Remove();
}

}  // namespace riseml
