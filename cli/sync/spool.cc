#include "cli/sync/spool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/sync/lfs.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::sync {
namespace {

constexpr std::size_t kSpoolPieceBytes = 256 * 1024;

std::string TemporaryDirectory() {
  const char* directory = std::getenv("TMPDIR");
  return directory == nullptr || *directory == '\0' ? "/tmp" : directory;
}

}  // namespace

absl::Status Spool::Open() {
  if (fd_.valid()) return absl::OkStatus();
  std::string path = absl::StrCat(TemporaryDirectory(), "/riseml-sync-XXXXXX");
  fd_ = UniqueFd(mkostemp(path.data(), O_CLOEXEC));
  if (!fd_.valid()) return ErrnoError(errno, absl::StrCat("create a temporary file ", path, "; set TMPDIR"));
  unlink(path.c_str());
  return absl::OkStatus();
}

absl::StatusOr<Spool::Copied> Spool::Copy(const std::string& path) {
  RISEML_RETURN_IF_ERROR(Open());
  RISEML_ASSIGN_OR_RETURN(const UniqueFd file, OpenForReading(path));
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", path));
  Copied copied;
  copied.stamp = ToStamp(info);
  copied.place.offset = end_;
  std::vector<char> piece(kSpoolPieceBytes);
  std::string beginning;
  while (copied.place.bytes < info.st_size) {
    const auto wanted = std::min<std::int64_t>(kSpoolPieceBytes, info.st_size - copied.place.bytes);
    const ssize_t n = read(file.get(), piece.data(), wanted);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(errno, absl::StrCat("read ", path));
    if (n == 0) break;
    const absl::string_view bytes(piece.data(), static_cast<std::size_t>(n));
    if (beginning.size() < kLfsPointerBytes) absl::StrAppend(&beginning, bytes.substr(0, kLfsPointerBytes));
    RISEML_RETURN_IF_ERROR(
        While("copy a file that is being written; set TMPDIR to a place with room", WriteAll(fd_.get(), bytes)));
    copied.place.bytes += n;
  }
  end_ += copied.place.bytes;
  copied.stamp.bytes = copied.place.bytes;
  copied.is_lfs_pointer = IsLfsPointer(beginning, copied.place.bytes);
  IdOf hasher;
  RISEML_RETURN_IF_ERROR(Read(copied.place, hasher));
  copied.id = hasher.Finish();
  return copied;
}

absl::Status Spool::Read(const SpooledFile& file, FileConsumer& consumer) const {
  RISEML_RETURN_IF_ERROR(consumer.Begin(file.bytes));
  std::vector<char> piece(kSpoolPieceBytes);
  for (std::int64_t done = 0; done < file.bytes;) {
    const auto wanted = std::min<std::int64_t>(kSpoolPieceBytes, file.bytes - done);
    const ssize_t n = pread(fd_.get(), piece.data(), wanted, file.offset + done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoError(n == 0 ? EIO : errno, "read a copy of a file");
    RISEML_RETURN_IF_ERROR(consumer.Append({piece.data(), static_cast<std::size_t>(n)}));
    done += n;
  }
  return absl::OkStatus();
}

}  // namespace riseml::sync
