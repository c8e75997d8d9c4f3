#include "services/supervisor/install/private_mount.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/common/base/crc32c.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::supervisor {
namespace {

// Returns the first directory from the root that the account cannot pass.
std::string Obstacle(const Account& account, const std::string& dir) {
  std::filesystem::path so_far;
  for (const std::filesystem::path& part : std::filesystem::path(dir)) {
    so_far /= part;
    if (!CanAccess(account, so_far.string(), X_OK)) return so_far.string();
  }
  return dir;
}

absl::Status Refuse(const Account& account, const std::string& dir, absl::string_view why) {
  return Error(Reason::kPermissionDenied,
               absl::StrCat("the services run as the user ", account.name, ", who cannot enter ",
                            Obstacle(account, dir), ", and a mount for them alone is not possible here (", why,
                            "); choose a --dir elsewhere, e.g. /var/lib/riseml"));
}

absl::Status MakeMountPoint(const std::string& path) {
  const mode_t before = umask(022);
  const absl::Status status = MakeDirectories(path);
  umask(before);
  return status;
}

}  // namespace

absl::StatusOr<std::string> ReachablePath(const Account& account, const std::string& dir) {
  if (!account.drop || CanAccess(account, dir, R_OK | W_OK | X_OK)) return dir;
  const std::string point = absl::StrFormat("/run/riseml/%08x", Crc32c(dir));
  if (absl::Status status = MakeMountPoint(point); !status.ok()) return Refuse(account, dir, status.message());
  if (unshare(CLONE_NEWNS) != 0) return Refuse(account, dir, ErrnoError(errno, "unshare").message());
  // New mounts of the machine still appear here, but our mounts do not appear outside.
  if (mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      mount(dir.c_str(), point.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return Refuse(account, dir, ErrnoError(errno, "mount").message());
  if (!CanAccess(account, point, R_OK | W_OK | X_OK))
    return Refuse(account, dir, "it cannot be entered when mounted either");
  return point;
}

}  // namespace riseml::supervisor
