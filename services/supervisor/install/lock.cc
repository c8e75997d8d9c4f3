#include "services/supervisor/install/lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::supervisor {

absl::StatusOr<std::optional<UniqueFd>> TryLock(const std::string& dir) {
  const std::string path = dir + "/run/lock";
  RISEML_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return std::optional<UniqueFd>(std::move(fd));
  if (errno == EWOULDBLOCK) return std::optional<UniqueFd>();
  return ErrnoError(errno, absl::StrCat("lock ", path));
}

}  // namespace riseml::supervisor
