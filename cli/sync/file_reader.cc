#include "cli/sync/file_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/sync/lfs.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;
constexpr absl::Duration kRetryWait = absl::Milliseconds(50);

absl::Status Changed(const std::string& path) {
  return Error(Reason::kFileChanged, absl::StrCat(path, " changed while it was read"));
}

absl::StatusOr<FileStamp> StampOfOpen(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", path));
  if (!S_ISREG(info.st_mode)) return Changed(path);
  return ToStamp(info);
}

}  // namespace

absl::Status IdOf::Begin(std::int64_t bytes) {
  bytes_ = bytes;
  beginning_.clear();
  hasher_.Start(git::ObjectKind::kBlob, bytes);
  return absl::OkStatus();
}

absl::Status IdOf::Append(absl::string_view piece) {
  if (bytes_ < static_cast<std::int64_t>(kLfsPointerBytes)) beginning_.append(piece.data(), piece.size());
  hasher_.Update(piece);
  return absl::OkStatus();
}

bool IdOf::is_lfs_pointer() const { return IsLfsPointer(beginning_, bytes_); }

absl::StatusOr<UniqueFd> OpenForReading(const std::string& path) {
  // O_NONBLOCK: what was a file may have become a pipe.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  const int error = errno;
  struct stat info {};
  const bool gone = !fd.valid() && (error == ENOENT || error == ELOOP || error == ENOTDIR || error == ENXIO);
  if (gone || (fd.valid() && fstat(fd.get(), &info) == 0 && !S_ISREG(info.st_mode)))
    return Error(Reason::kNotFound, absl::StrCat(path, " is gone"));
  if (!fd.valid())
    return While("a file that cannot be read cannot be part of a revision; ignore it by a line in .risemlignore",
                 ErrnoError(error, absl::StrCat("open ", path)));
  return fd;
}

absl::StatusOr<FileStamp> ReadOnce(const std::string& path, FileConsumer& consumer) {
  RISEML_ASSIGN_OR_RETURN(const UniqueFd fd, OpenForReading(path));
  RISEML_ASSIGN_OR_RETURN(const FileStamp before, StampOfOpen(fd.get(), path));
  RISEML_RETURN_IF_ERROR(consumer.Begin(before.bytes));
  std::vector<char> piece(std::min<std::size_t>(kPieceBytes, before.bytes + 1));
  std::int64_t total = 0;
  while (true) {
    const ssize_t n = read(fd.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, absl::StrCat("read ", path));
    if (n == 0) break;
    total += n;
    if (total > before.bytes) return Changed(path);
    RISEML_RETURN_IF_ERROR(consumer.Append({piece.data(), static_cast<std::size_t>(n)}));
  }
  RISEML_ASSIGN_OR_RETURN(const FileStamp after, StampOfOpen(fd.get(), path));
  if (after != before || total != before.bytes) return Changed(path);
  return after;
}

void SystemSleep(absl::Duration duration) { std::this_thread::sleep_for(absl::ToChronoMilliseconds(duration)); }

absl::StatusOr<FileStamp> ReadStable(const std::string& path, FileConsumer& consumer, int& retries,
                                     const Sleep& sleep) {
  while (true) {
    absl::StatusOr<FileStamp> stamp = ReadOnce(path, consumer);
    if (!HasReason(stamp.status(), Reason::kFileChanged) || retries == 0) return stamp;
    --retries;
    sleep(kRetryWait);
  }
}

}  // namespace riseml::sync
