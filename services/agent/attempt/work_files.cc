#include "services/agent/attempt/work_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr int kMaxDepth = 64;
constexpr int kMaxTickRounds = 50;
constexpr std::int64_t kMaxFiles = 200'000;
constexpr std::size_t kMaxNamed = 5;
constexpr std::size_t kMaxEntriesOfDirectory = 1'000'000;
constexpr std::size_t kCopyBytes = 1 << 20;
constexpr absl::string_view kCacheNames[] = {
    "__pycache__",  ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".cache", ".ipynb_checkpoints",
    ".tox",         ".nox",          ".eggs",       ".git",        ".hg",         ".svn",   ".venv",
    "node_modules", ".DS_Store"};
// Files that mark a directory that can be made again: a cache (bford.info/cachedir), a virtual environment, a conda
// environment.
constexpr const char* kGeneratedMarks[] = {"CACHEDIR.TAG", "pyvenv.cfg", "conda-meta"};

using LeftFile = std::pair<std::int64_t, std::string>;

class Keeping {
 public:
  explicit Keeping(const KeepRequest& request) : request_(request) {}

  absl::StatusOr<KeptFiles> Run() {
    RISEML_ASSIGN_OR_RETURN(UniqueFd root, OpenFile(request_.from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    RISEML_RETURN_IF_ERROR(Walk(std::move(root), "", 0));
    std::ranges::sort(left_, std::greater<>());
    for (const auto& [bytes, name] : left_)
      kept_.left_named.push_back(absl::StrCat(name, " (", PrintBytes(bytes), ")"));
    return std::move(kept_);
  }

 private:
  struct CloseDir {
    void operator()(DIR* dir) const { closedir(dir); }
  };

  static absl::StatusOr<std::vector<std::string>> NamesIn(int directory) {
    const int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDir> dir(fd < 0 ? nullptr : fdopendir(fd));
    if (dir == nullptr) return ErrnoError(errno, "list a directory");
    std::vector<std::string> names;
    while (const dirent* entry = readdir(dir.get())) {
      const absl::string_view name = entry->d_name;
      if (name != "." && name != ".." && names.size() < kMaxEntriesOfDirectory) names.emplace_back(name);
    }
    std::ranges::sort(names);
    return names;
  }

  absl::Status Walk(UniqueFd directory, const std::string& path, int depth) {
    if (depth > 0)
      for (const char* mark : kGeneratedMarks)
        if (faccessat(directory.get(), mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return absl::OkStatus();
    const int fd = directory.get();
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(fd));
    for (const std::string& name : names) {
      struct stat status {};
      if (IsCacheName(name) || fstatat(fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
      const std::string below = path.empty() ? name : absl::StrCat(path, "/", name);
      if (S_ISDIR(status.st_mode)) {
        UniqueFd child(openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!child.valid() || depth == kMaxDepth)
          Leave(below, 0);
        else
          RISEML_RETURN_IF_ERROR(Walk(std::move(child), below, depth + 1));
      } else if (absl::TimeFromTimespec(status.st_ctim) >= request_.since) {
        RISEML_RETURN_IF_ERROR(KeepOne(fd, name, below, status));
      }
    }
    return absl::OkStatus();
  }

  void Leave(const std::string& path, std::int64_t bytes) {
    ++kept_.left_files;
    kept_.left_bytes += bytes;
    left_.emplace_back(bytes, path);
    if (left_.size() <= 10 * kMaxNamed) return;
    std::ranges::sort(left_, std::greater<>());
    left_.resize(kMaxNamed);
  }

  static void Note(std::vector<std::string>& paths, const std::string& path) {
    if (paths.size() < kMaxNamed) paths.push_back(path);
  }

  absl::Status KeepOne(int directory, const std::string& name, const std::string& path, const struct stat& status) {
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) return absl::OkStatus();
    if (kept_.files >= kMaxFiles || status.st_size > request_.bytes_limit - kept_.bytes) {
      Leave(path, status.st_size);
      return absl::OkStatus();
    }
    RISEML_ASSIGN_OR_RETURN(const UniqueFd parent, MakeParent(path));
    // A file that this job has put there is its output and stays; one of an earlier attempt is replaced.
    struct stat there {};
    const bool exists = fstatat(parent.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && absl::TimeFromTimespec(there.st_ctim) >= request_.since) {
      Note(kept_.in_the_way, path);
      return absl::OkStatus();
    }
    if (exists && unlinkat(parent.get(), name.c_str(), 0) != 0)
      return ErrnoError(errno, absl::StrCat("replace ", path));
    if (S_ISLNK(status.st_mode)) return KeepLink(directory, parent, name);
    const UniqueFd from(openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!from.valid()) {
      Note(kept_.unreadable, path);
      return absl::OkStatus();
    }
    const UniqueFd to(openat(parent.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                             0600 | (status.st_mode & 0777)));
    if (!to.valid()) return ErrnoError(errno, absl::StrCat("make ", path));
    RISEML_RETURN_IF_ERROR(While(absl::StrCat("keep ", path), Copy(from, to, status.st_size)));
    const timespec times[] = {status.st_atim, status.st_mtim};
    futimens(to.get(), times);
    ++kept_.files;
    kept_.bytes += status.st_size;
    return absl::OkStatus();
  }

  absl::Status KeepLink(int directory, const UniqueFd& parent, const std::string& name) {
    char target[4096];
    const ssize_t n = readlinkat(directory, name.c_str(), target, sizeof target - 1);
    if (n < 0) return absl::OkStatus();
    target[n] = '\0';
    if (symlinkat(target, parent.get(), name.c_str()) != 0)
      return ErrnoError(errno, absl::StrCat("make the link ", name));
    ++kept_.files;
    return absl::OkStatus();
  }

  // Blocks are shared where the file system can do so.
  static absl::Status Copy(const UniqueFd& from, const UniqueFd& to, std::int64_t bytes) {
    while (bytes > 0) {
      const ssize_t n = copy_file_range(from.get(), nullptr, to.get(), nullptr, bytes, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno != ENOSPC && errno != EDQUOT) return CopyByHand(from, to);
      if (n < 0) return ErrnoError(errno, "copy");
      if (n == 0) break;
      bytes -= n;
    }
    return absl::OkStatus();
  }

  static absl::Status CopyByHand(const UniqueFd& from, const UniqueFd& to) {
    std::string buffer(kCopyBytes, '\0');
    while (true) {
      const ssize_t n = read(from.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoError(errno, "copy");
      if (n == 0) return absl::OkStatus();
      RISEML_RETURN_IF_ERROR(WriteAll(to.get(), absl::string_view(buffer.data(), n)));
    }
  }

  // Opens the directory of `path` in the destination, component by component, never through a link.
  absl::StatusOr<UniqueFd> MakeParent(const std::string& path) const {
    if (mkdir(request_.to.c_str(), 0755) != 0 && errno != EEXIST)
      return ErrnoError(errno, absl::StrCat("mkdir ", request_.to));
    RISEML_ASSIGN_OR_RETURN(UniqueFd at, OpenFile(request_.to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    for (std::size_t begin = 0, end = path.find('/'); end != std::string::npos; end = path.find('/', begin)) {
      const std::string name = path.substr(begin, end - begin);
      if (mkdirat(at.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
        return ErrnoError(errno, absl::StrCat("mkdir ", name));
      UniqueFd next(openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!next.valid()) return ErrnoError(errno, absl::StrCat("open ", path.substr(0, end)));
      at = std::move(next);
      begin = end + 1;
    }
    return at;
  }

  const KeepRequest& request_;
  KeptFiles kept_;
  std::vector<LeftFile> left_;
};

}  // namespace

bool IsCacheName(absl::string_view name) {
  return std::ranges::find(kCacheNames, name) != std::end(kCacheNames) || absl::EndsWith(name, ".pyc");
}

absl::Time NextTickOfFiles(const std::string& marker, const std::string& last) {
  const absl::StatusOr<UniqueFd> fd = OpenFile(marker, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
  if (!fd.ok()) return absl::InfiniteFuture();
  const auto stamp = [&fd] {
    struct stat status {};
    const bool known = fchmod(fd->get(), 0600) == 0 && fstat(fd->get(), &status) == 0;
    return known ? absl::TimeFromTimespec(status.st_ctim) : absl::InfiniteFuture();
  };
  struct stat status {};
  const absl::Time before = stat(last.c_str(), &status) == 0 ? absl::TimeFromTimespec(status.st_ctim) : stamp();
  for (int round = 0; round < kMaxTickRounds && stamp() <= before; ++round) poll(nullptr, 0, 1);
  return stamp();
}

absl::StatusOr<KeptFiles> KeepWorkFiles(const KeepRequest& request) { return Keeping(request).Run(); }

std::string PrintBytes(std::int64_t bytes) {
  constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return absl::StrCat(bytes, " bytes");
  double amount = static_cast<double>(bytes) / 1000;
  int unit = 0;
  for (; amount >= 999.95 && unit < 3; ++unit) amount /= 1000;
  return absl::StrFormat("%.1f %s", amount, kUnits[unit]);
}

std::string KeptName(int attempt) { return attempt <= 1 ? "workdir" : absl::StrCat("workdir-", attempt); }

std::string DescribeKept(const KeptFiles& kept, const KeepRequest& request) {
  const absl::string_view name = absl::string_view(request.to).substr(request.to.rfind('/') + 1);
  std::string text;
  if (kept.files > 0)
    absl::StrAppend(&text, "==> Kept ", kept.files, kept.files == 1 ? " file (" : " files (", PrintBytes(kept.bytes),
                    ") that the job left in its working directory: ", name,
                    "/ in its output (riseml status shows the path)\n");
  if (!kept.in_the_way.empty())
    absl::StrAppend(&text, "==> Not kept from the working directory, as the job has written files of these names to ",
                    name, "/ in its output: ", absl::StrJoin(kept.in_the_way, ", "), "\n");
  if (!kept.unreadable.empty())
    absl::StrAppend(&text, "==> Not kept from the working directory, as the job let nobody read them (chmod): ",
                    absl::StrJoin(kept.unreadable, ", "), "\n");
  if (kept.left_files == 0) return text;
  std::vector<std::string> named = kept.left_named;
  if (named.size() > kMaxNamed) named.resize(kMaxNamed);
  const std::int64_t more = kept.left_files - static_cast<std::int64_t>(named.size());
  absl::StrAppend(&text, "==> Not kept from the working directory, as more than ", PrintBytes(request.bytes_limit),
                  " would be: ", absl::StrJoin(named, ", "), more > 0 ? absl::StrCat(" and ", more, " more") : "",
                  ". Write large files to $OUTPUT_DIR\n");
  return text;
}

}  // namespace riseml::agent
