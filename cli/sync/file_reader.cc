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
#include "services/common/base/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;
constexpr int kRetries = 3;
constexpr absl::Duration kRetryWait = absl::Milliseconds(50);

absl::Status Changed(const std::string& path) {
  return Error(Reason::kFileChanged,
               absl::StrCat(path,
                            " changed while it was read; stop what writes to it, or ignore it by a "
                            "line in .risemlignore"));
}

absl::StatusOr<FileStamp> StampOfOpen(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", path));
  if (!S_ISREG(info.st_mode)) return Changed(path);
  return ToStamp(info);
}

}  // namespace

absl::StatusOr<FileStamp> ReadOnce(const std::string& path, FileConsumer& consumer) {
  // O_NONBLOCK: what was a file may have become a pipe.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ENOENT || errno == ELOOP || errno == ENOTDIR) return Changed(path);
    return While("a file that cannot be read cannot be part of a revision; ignore it by a line in .risemlignore",
                 ErrnoError(errno, absl::StrCat("open ", path)));
  }
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

absl::StatusOr<FileStamp> ReadStable(const std::string& path, FileConsumer& consumer, const Sleep& sleep) {
  for (int retry = 0;; ++retry) {
    absl::StatusOr<FileStamp> stamp = ReadOnce(path, consumer);
    if (!HasReason(stamp.status(), Reason::kFileChanged) || retry == kRetries) return stamp;
    sleep(kRetryWait);
  }
}

}  // namespace riseml::sync
