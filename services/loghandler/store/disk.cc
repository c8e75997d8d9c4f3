#include "services/loghandler/store/disk.h"

#include <unistd.h>

#include <cerrno>

#include "services/common/base/files/file.h"

namespace riseml::loghandler {

int FileDisk::Write(int fd, std::int64_t position, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), position);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return ENOSPC;
    bytes.remove_prefix(n);
    position += n;
  }
  return 0;
}

int FileDisk::Sync(int fd) {
  while (fdatasync(fd) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

absl::Status FileDisk::SyncDirectory(const std::string& path) { return riseml::SyncDirectory(path); }

absl::Status FileDisk::Replace(const std::string& path, absl::string_view bytes) {
  return WriteFileAtomically(path, bytes);
}

}  // namespace riseml::loghandler
