#include "services/common/base/files/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml {
void UniqueFd::Reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

absl::StatusOr<UniqueFd> OpenFile(const std::string& path, int flags, int mode) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return ErrnoError(errno, absl::StrCat("open ", path));
  return UniqueFd(fd);
}

namespace {

absl::StatusOr<std::string> ReadWhole(int fd, const std::string& path, std::int64_t max_bytes) {
  std::string content;
  char buffer[65536];
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, absl::StrCat("read ", path));
    if (n == 0) return content;
    content.append(buffer, n);
    if (static_cast<std::int64_t>(content.size()) > max_bytes)
      return Error(Reason::kLimitExceeded, absl::StrCat("read ", path, ": larger than ", max_bytes, " bytes"));
  }
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, std::int64_t max_bytes) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY));
  return ReadWhole(fd.get(), path, max_bytes);
}

absl::StatusOr<std::string> ReadPlainFile(const std::string& path, std::int64_t max_bytes) {
  struct stat info {};
  const absl::StatusOr<UniqueFd> fd = OpenFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  // A link or a socket cannot be opened with these flags.
  if (!fd.ok() && lstat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return Error(Reason::kNotFound, absl::StrCat("read ", path, ": it is no file"));
  RISEML_RETURN_IF_ERROR(fd.status());
  if (fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode))
    return Error(Reason::kNotFound, absl::StrCat("read ", path, ": it is no file"));
  return ReadWhole(fd->get(), path, max_bytes);
}

absl::Status WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, "write");
    bytes.remove_prefix(n);
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) != 0) return ErrnoError(errno, absl::StrCat("fsync ", path));
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view content, int mode) {
  const std::string temporary = absl::StrCat(path, ".tmp-", absl::BytesToHexString(RandomBytes(4)));
  const auto write_temporary = [&]() -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    RISEML_RETURN_IF_ERROR(While(absl::StrCat("write ", path), WriteAll(fd.get(), content)));
    if (fchmod(fd.get(), mode) != 0) return ErrnoError(errno, absl::StrCat("chmod ", path));
    if (fsync(fd.get()) != 0) return ErrnoError(errno, absl::StrCat("fsync ", path));
    if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoError(errno, absl::StrCat("rename to ", path));
    return absl::OkStatus();
  };
  if (absl::Status status = write_temporary(); !status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return SyncDirectory(parent.empty() ? "." : parent);
}

absl::Status WriteFileQuickly(const std::string& path, absl::string_view content, int mode) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
  RISEML_RETURN_IF_ERROR(While(absl::StrCat("write ", path), WriteAll(fd.get(), content)));
  return fchmod(fd.get(), mode) == 0 ? absl::OkStatus() : ErrnoError(errno, absl::StrCat("chmod ", path));
}

absl::Status MakeDirectories(const std::string& path, int mode) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return absl::OkStatus();
  const std::string parent = std::filesystem::path(path).parent_path().string();
  if (!parent.empty() && parent != path) RISEML_RETURN_IF_ERROR(MakeDirectories(parent, mode));
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return ErrnoError(errno, absl::StrCat("mkdir ", path));
  return absl::OkStatus();
}

absl::Status MakePlainDirectory(const std::string& path, int mode) {
  if (mkdir(path.c_str(), mode) == 0) return absl::OkStatus();
  if (errno != EEXIST) return ErrnoError(errno, absl::StrCat("mkdir ", path));
  struct stat info {};
  if (lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(path, " is not a directory; remove it"));
}

bool FileExists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::Status CheckFormat(const std::string& dir, absl::string_view what, int version) {
  const std::string path = absl::StrCat(dir, "/FORMAT");
  absl::StatusOr<std::string> text = ReadFile(path, 4096);
  if (HasReason(text.status(), Reason::kNotFound)) return WriteFileAtomically(path, absl::StrCat(version, "\n"));
  RISEML_RETURN_IF_ERROR(text.status());
  int found = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &found))
    return absl::DataLossError(absl::StrCat(path, " holds no format version; restore it from a backup"));
  if (found > version)
    return Error(Reason::kNewerFormat,
                 absl::StrCat(what, " in ", dir, " has format ", found, ", this version reads up to ", version,
                              "; install a newer RiseML"));
  return absl::OkStatus();
}

}  // namespace riseml
