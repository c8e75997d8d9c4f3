#include "services/agent/run/tree_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/common/base/files/file.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr int kMaxDirectoryDepth = 200;
constexpr std::size_t kBytesAtOnce = 16 << 20;

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

// A file mapped into memory.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Map(int fd, int protection) {
    struct stat info {};
    if (fstat(fd, &info) != 0) return ErrnoError(errno, "look at a file");
    if (info.st_size == 0) return MappedFile(nullptr, 0);
    const std::size_t size = static_cast<std::size_t>(info.st_size);
    void* const data = mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) return ErrnoError(errno, "map a file");
    return MappedFile(static_cast<char*>(data), size);
  }
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  ~MappedFile() {
    if (data_ != nullptr) munmap(data_, size_);
  }

  // The next occurrence at or after `begin`; nullptr: none.
  char* Find(absl::string_view text, const char* begin) const {
    const std::size_t rest = size_ - static_cast<std::size_t>(begin - data_);
    return static_cast<char*>(memmem(begin, rest, text.data(), text.size()));
  }
  char* begin() const { return data_; }
  bool empty() const { return size_ == 0; }

 private:
  MappedFile(char* data, std::size_t size) : data_(data), size_(size) {}

  char* data_;
  std::size_t size_;
};

absl::Status ReplaceInFile(int fd, const Replacement& replacement) {
  RISEML_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Map(fd, PROT_READ | PROT_WRITE));
  if (file.empty()) return absl::OkStatus();
  for (char* at = file.Find(replacement.from, file.begin()); at != nullptr;
       at = file.Find(replacement.from, at + replacement.to.size()))
    std::memcpy(at, replacement.to.data(), replacement.to.size());
  return absl::OkStatus();
}

absl::Status CopyContent(int from, int to) {
  if (ioctl(to, FICLONE, from) == 0) return absl::OkStatus();
  while (true) {
    const ssize_t n = sendfile(to, from, nullptr, kBytesAtOnce);
    if (n == 0) return absl::OkStatus();
    if (n < 0 && errno != EINTR) return ErrnoError(errno, "copy a file");
  }
}

class TreeCopier {
 public:
  explicit TreeCopier(const CopyRules& rules) : rules_(rules) {}

  absl::Status CopyDirectory(UniqueFd from, int to, const std::string& path, int depth) const {
    if (depth > kMaxDirectoryDepth) return Error(Reason::kLimitExceeded, "there are directories are nested too deeply");
    const int list = dup(from.get());
    const std::unique_ptr<DIR, CloseDirectory> directory(fdopendir(list));
    if (directory == nullptr) return ErrnoError(errno, "list a directory");
    while (const dirent* entry = readdir(directory.get())) {
      const absl::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (rules_.stop.stop_requested()) return absl::CancelledError("stopped");
      const std::string inner = path.empty() ? std::string(name) : absl::StrCat(path, "/", name);
      if (rules_.wants && !rules_.wants(inner)) continue;
      RISEML_RETURN_IF_ERROR(While(inner, CopyEntry(from.get(), to, std::string(name), inner, depth)));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status CopyEntry(int from, int to, const std::string& name, const std::string& path, int depth) const {
    struct stat info {};
    if (fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return ErrnoError(errno, "look at it");
    const std::string target = rules_.replacement.In(name);
    if (S_ISREG(info.st_mode)) return CopyFile(from, name, to, target, path, info);
    if (S_ISLNK(info.st_mode)) return CopyLink(from, name, to, target);
    if (!S_ISDIR(info.st_mode)) return absl::OkStatus();
    const bool made = mkdirat(to, target.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) return ErrnoError(errno, "make the directory");
    UniqueFd inner_from(openat(from, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inner_from.valid()) return ErrnoError(errno, "open the directory");
    const UniqueFd inner_to(openat(to, target.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    // An earlier file or link of this name takes precedence over the directory.
    if (!inner_to.valid()) return absl::OkStatus();
    RISEML_RETURN_IF_ERROR(CopyDirectory(std::move(inner_from), inner_to.get(), path, depth + 1));
    if (made && fchmod(inner_to.get(), (info.st_mode & 0777) | 0700) != 0) return ErrnoError(errno, "set its mode");
    return absl::OkStatus();
  }

  absl::Status CopyFile(int from, const std::string& name, int to, const std::string& target, const std::string& path,
                        const struct stat& info) const {
    const UniqueFd copy(openat(to, target.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!copy.valid()) return errno == EEXIST ? absl::OkStatus() : ErrnoError(errno, "make the file");
    const UniqueFd source(openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!source.valid()) return ErrnoError(errno, "open the file");
    RISEML_RETURN_IF_ERROR(CopyContent(source.get(), copy.get()));
    if (rules_.files.contains(path)) RISEML_RETURN_IF_ERROR(ReplaceInFile(copy.get(), rules_.replacement));
    const timespec times[] = {info.st_atim, rules_.modified ? absl::ToTimespec(*rules_.modified) : info.st_mtim};
    if (futimens(copy.get(), times) != 0 || fchmod(copy.get(), (info.st_mode & 0777) | 0600) != 0)
      return ErrnoError(errno, "set its times and mode");
    return absl::OkStatus();
  }

  absl::Status CopyLink(int from, const std::string& name, int to, const std::string& target) const {
    char leads_to[PATH_MAX];
    const ssize_t size = readlinkat(from, name.c_str(), leads_to, sizeof leads_to);
    if (size < 0) return ErrnoError(errno, "read the link");
    const std::string text = rules_.replacement.In(absl::string_view(leads_to, static_cast<std::size_t>(size)));
    if (symlinkat(text.c_str(), to, target.c_str()) != 0 && errno != EEXIST) return ErrnoError(errno, "make the link");
    return absl::OkStatus();
  }

  const CopyRules& rules_;
};

}  // namespace

std::string Replacement::In(absl::string_view text) const {
  return from.empty() ? std::string(text) : absl::StrReplaceAll(text, {{from, to}});
}

absl::Status CopyTree(const std::string& from, const std::string& to, const CopyRules& rules) {
  if (rules.replacement.from.size() != rules.replacement.to.size())
    return absl::InvalidArgumentError("a text can be replaced only by one of the same length");
  RISEML_ASSIGN_OR_RETURN(UniqueFd source, OpenFile(from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RISEML_ASSIGN_OR_RETURN(const UniqueFd target, OpenFile(to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return While("copy", TreeCopier(rules).CopyDirectory(std::move(source), target.get(), "", 0));
}

absl::StatusOr<TreeSize> MeasureTree(const std::string& top, const WantsEntry& wants) {
  TreeSize size;
  RISEML_RETURN_IF_ERROR(WalkTree(top, [&](const TreeEntry& entry) {
    if (wants && !wants(entry.path)) return false;
    struct stat info {};
    if (lstat(absl::StrCat(top, "/", entry.path).c_str(), &info) != 0) return false;
    ++size.files;
    // The copy of a file with holes has no holes.
    if (S_ISREG(info.st_mode)) size.bytes += std::max<std::int64_t>(info.st_size, info.st_blocks * 512);
    return true;
  }));
  return size;
}

absl::StatusOr<std::vector<std::string>> FilesHolding(const std::string& top, absl::string_view text) {
  std::vector<std::string> found;
  RISEML_RETURN_IF_ERROR(WalkTree(top, [&](const TreeEntry& entry) -> absl::StatusOr<bool> {
    const std::string path = absl::StrCat(top, "/", entry.path);
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return true;
    RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    RISEML_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Map(fd.get(), PROT_READ));
    if (!file.empty() && file.Find(text, file.begin()) != nullptr) found.push_back(entry.path);
    return true;
  }));
  return found;
}

}  // namespace riseml::agent
