#include "cli/sync/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/sync/exclude.h"
#include "services/common/base/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

constexpr std::size_t kMaxSkipped = 1000;
constexpr std::size_t kMaxWarnings = 100;
constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxPathBytes = 3900;
constexpr std::size_t kMaxLinkBytes = 4000;

std::int64_t Nanoseconds(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

// The advice every refusal of a path ends with.
std::string IgnoreAdvice(absl::string_view path) {
  std::string pattern(path);
  // What cannot be typed is matched by a wildcard.
  const bool plain = git::IsValidUtf8(path);
  for (char& c : pattern)
    if (absl::ascii_iscntrl(c) || (!plain && !absl::ascii_isascii(c))) c = '?';
  return absl::StrCat("; remove it or add the line /", pattern, " to .risemlignore");
}

class Walker {
 public:
  Walker(std::string root, Excluder excluder) : root_(std::move(root)), excluder_(std::move(excluder)) {}

  absl::StatusOr<Scan> Run() {
    RISEML_ASSIGN_OR_RETURN(UniqueFd directory, OpenFile(root_, O_RDONLY | O_DIRECTORY));
    RISEML_RETURN_IF_ERROR(Directory(std::move(directory), "", 1));
    std::sort(scan_.files.begin(), scan_.files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return std::move(scan_);
  }

 private:
  absl::Status Directory(UniqueFd fd, const std::string& path, int depth) {
    if (depth > kMaxDepth)
      return Error(Reason::kLimitExceeded, absl::StrCat(git::Printable(path), " is more than ", kMaxDepth,
                                                        " directories deep", IgnoreAdvice(path)));
    RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> names, List(fd, path));
    WarnAboutCase(names, path);
    for (const std::string& name : names) {
      const std::string entry = path.empty() ? name : absl::StrCat(path, "/", name);
      RISEML_RETURN_IF_ERROR(Entry(fd.get(), name, entry, depth));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const UniqueFd& fd, const std::string& path) {
    const int copy = fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return ErrnoError(errno, absl::StrCat("list ", root_, "/", path));
    DIR* raw = fdopendir(copy);
    if (raw == nullptr) {
      const int error = errno;
      close(copy);
      return ErrnoError(error, absl::StrCat("list ", root_, "/", path));
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(raw, &closedir);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(raw)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    if (errno != 0) return ErrnoError(errno, absl::StrCat("list ", root_, "/", path));
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::Status Entry(int directory, const std::string& name, const std::string& path, int depth) {
    struct stat info {};
    if (fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return absl::OkStatus();  // gone since it was listed
      return ErrnoError(errno, absl::StrCat("look at ", root_, "/", git::Printable(path)));
    }
    const bool is_directory = S_ISDIR(info.st_mode);
    if (std::optional<Exclusion> exclusion = excluder_.Check(path, is_directory)) {
      Skip(is_directory ? absl::StrCat(path, "/") : path, *std::move(exclusion));
      return absl::OkStatus();
    }
    if (!is_directory && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
      Skip(path, Exclusion{"neither a file nor a directory nor a link"});
      return absl::OkStatus();
    }
    if (const absl::Status status = git::CheckEntryName(name); !status.ok())
      return Error(Reason::kInvalidArgument,
                   absl::StrCat(git::Printable(path), ": ", status.message(), IgnoreAdvice(path)));
    if (path.size() > kMaxPathBytes)
      return Error(Reason::kInvalidArgument, absl::StrCat(git::Printable(path), " is a path of more than ",
                                                          kMaxPathBytes, " bytes", IgnoreAdvice(path)));
    if (is_directory) return Enter(directory, name, path, depth);
    return File(directory, name, path, info, depth);
  }

  absl::Status Enter(int directory, const std::string& name, const std::string& path, int depth) {
    UniqueFd fd(openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) {
      if (errno == ENOENT) return absl::OkStatus();
      return While(absl::StrCat("a directory that cannot be read cannot be part of a revision", IgnoreAdvice(path)),
                   ErrnoError(errno, absl::StrCat("open ", root_, "/", git::Printable(path))));
    }
    RISEML_RETURN_IF_ERROR(excluder_.Enter(path));
    RISEML_RETURN_IF_ERROR(Directory(std::move(fd), path, depth + 1));
    excluder_.Leave();
    return absl::OkStatus();
  }

  absl::Status File(int directory, const std::string& name, const std::string& path, const struct stat& info,
                    int depth) {
    if (static_cast<std::int64_t>(scan_.files.size()) >= kMaxScannedFiles)
      return Error(Reason::kLimitExceeded,
                   absl::StrCat(root_, " holds more than ", kMaxScannedFiles,
                                " files; is it the project's directory? Add what is not code to .risemlignore"));
    ScannedFile file;
    file.path = path;
    file.stamp = ToStamp(info);
    if (S_ISLNK(info.st_mode)) {
      file.mode = git::Mode::kSymlink;
      RISEML_ASSIGN_OR_RETURN(file.link_target, ReadLink(directory, name, path, depth));
      file.stamp.bytes = static_cast<std::int64_t>(file.link_target.size());
    } else {
      file.mode = (info.st_mode & S_IXUSR) != 0 ? git::Mode::kExecutable : git::Mode::kFile;
    }
    scan_.total_bytes += file.stamp.bytes;
    scan_.files.push_back(std::move(file));
    return absl::OkStatus();
  }

  // `depth` counts the directories from the root to the one the link lies in, both included.
  absl::StatusOr<std::string> ReadLink(int directory, const std::string& name, const std::string& path, int depth) {
    std::string target(kMaxLinkBytes + 1, '\0');
    const ssize_t size = readlinkat(directory, name.c_str(), target.data(), target.size());
    if (size < 0) return ErrnoError(errno, absl::StrCat("read the link ", git::Printable(path)));
    target.resize(size);
    const absl::StatusOr<int> climb = git::LinkClimb(target);
    if (!climb.ok())
      return Error(Reason::kInvalidArgument,
                   absl::StrCat(git::Printable(path), ": ", climb.status().message(), IgnoreAdvice(path)));
    if (*climb >= depth)
      return Error(Reason::kInvalidArgument,
                   absl::StrCat(git::Printable(path), ": the link to ", git::Printable(target), " leaves the project",
                                IgnoreAdvice(path)));
    return target;
  }

  void Skip(std::string path, Exclusion exclusion) {
    ++scan_.skipped_count;
    const std::size_t room = exclusion.secret ? 2 * kMaxSkipped : kMaxSkipped;
    if (scan_.skipped.size() < room)
      scan_.skipped.push_back({std::move(path), std::move(exclusion.reason), exclusion.secret});
  }

  void WarnAboutCase(const std::vector<std::string>& names, const std::string& path) {
    absl::flat_hash_map<std::string, const std::string*> folded;
    for (const std::string& name : names) {
      const auto [it, inserted] = folded.emplace(absl::AsciiStrToLower(name), &name);
      if (inserted || scan_.warnings.size() >= kMaxWarnings) continue;
      scan_.warnings.push_back(absl::StrCat(git::Printable(path.empty() ? "." : path), " holds ",
                                            git::Printable(*it->second), " and ", git::Printable(name),
                                            ", which some systems take for one file"));
    }
  }

  const std::string root_;
  Excluder excluder_;
  Scan scan_;
};

}  // namespace

FileStamp ToStamp(const struct stat& info) {
  return {Nanoseconds(info.st_mtim), Nanoseconds(info.st_ctim), info.st_size, info.st_ino, info.st_mode};
}

absl::StatusOr<Scan> ScanProject(const std::string& root) {
  RISEML_ASSIGN_OR_RETURN(Excluder excluder, Excluder::Open(root));
  return Walker(root, std::move(excluder)).Run();
}

absl::StatusOr<FileStamp> StampOf(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", path));
  return ToStamp(info);
}

}  // namespace riseml::sync
