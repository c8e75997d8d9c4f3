#include "services/agent/leavings.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/common/base/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr int kMaxDirectoryDepth = 200;
constexpr std::size_t kBytesAtOnce = 16 << 20;

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

absl::Status CopyContent(int from, int to) {
  if (ioctl(to, FICLONE, from) == 0) return absl::OkStatus();
  while (true) {
    const ssize_t n = sendfile(to, from, nullptr, kBytesAtOnce);
    if (n == 0) return absl::OkStatus();
    if (n < 0 && errno != EINTR) return ErrnoError(errno, "copy a file of the environment");
  }
}

absl::Status CopyFile(int from, int to, const char* name, const struct stat& info) {
  const UniqueFd copy(openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!copy.valid()) return errno == EEXIST ? absl::OkStatus() : ErrnoError(errno, absl::StrCat("make ", name));
  const UniqueFd source(openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!source.valid()) return ErrnoError(errno, absl::StrCat("open ", name, " of the environment"));
  RISEML_RETURN_IF_ERROR(CopyContent(source.get(), copy.get()));
  const timespec times[] = {info.st_atim, info.st_mtim};
  if (futimens(copy.get(), times) != 0 || fchmod(copy.get(), (info.st_mode & 0777) | 0600) != 0)
    return ErrnoError(errno, absl::StrCat("set times and mode of ", name));
  return absl::OkStatus();
}

absl::Status CopyLink(int from, int to, const char* name) {
  char target[PATH_MAX];
  const ssize_t size = readlinkat(from, name, target, sizeof target - 1);
  if (size < 0) return ErrnoError(errno, absl::StrCat("read the link ", name, " of the environment"));
  target[size] = '\0';
  if (symlinkat(target, to, name) != 0 && errno != EEXIST)
    return ErrnoError(errno, absl::StrCat("make the link ", name));
  return absl::OkStatus();
}

absl::Status CopyDirectory(UniqueFd from, int to, int depth, const std::stop_token& stop) {
  if (depth > kMaxDirectoryDepth)
    return Error(Reason::kLimitExceeded, "the environment holds too many directories in each other");
  const int list = dup(from.get());
  const std::unique_ptr<DIR, CloseDirectory> directory(fdopendir(list));
  if (directory == nullptr) return ErrnoError(errno, "list a directory of the environment");
  while (const dirent* entry = readdir(directory.get())) {
    const char* const name = entry->d_name;
    if (absl::string_view(name) == "." || absl::string_view(name) == "..") continue;
    if (stop.stop_requested()) return absl::CancelledError("stopped");
    struct stat info {};
    if (fstatat(from.get(), name, &info, AT_SYMLINK_NOFOLLOW) != 0)
      return ErrnoError(errno, absl::StrCat("look at ", name));
    if (S_ISREG(info.st_mode)) {
      RISEML_RETURN_IF_ERROR(CopyFile(from.get(), to, name, info));
    } else if (S_ISLNK(info.st_mode)) {
      RISEML_RETURN_IF_ERROR(CopyLink(from.get(), to, name));
    } else if (S_ISDIR(info.st_mode)) {
      if (mkdirat(to, name, 0755) != 0 && errno != EEXIST) return ErrnoError(errno, absl::StrCat("mkdir ", name));
      UniqueFd inner_from(openat(from.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      const UniqueFd inner_to(openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      // The job's own file or link of this name hides the directory.
      if (!inner_from.valid() || !inner_to.valid()) continue;
      RISEML_RETURN_IF_ERROR(CopyDirectory(std::move(inner_from), inner_to.get(), depth + 1, stop));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string LeftInCode(const std::string& environment_path) { return environment_path + "/.riseml/code"; }
std::string LeftInHome(const std::string& environment_path) { return environment_path + "/.riseml/home"; }

absl::Status CopyBeneath(const std::string& from, const std::string& to, const std::stop_token& stop) {
  if (!FileExists(from)) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(UniqueFd source, OpenFile(from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd target, OpenFile(to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return While("lay the environment's files beneath the code", CopyDirectory(std::move(source), target.get(), 0, stop));
}

}  // namespace riseml::agent
