#include "services/common/base/files/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml {

absl::StatusOr<UniqueFd> OpenBeneath(int top, const std::string& path, int flags) {
  open_how how = {};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  UniqueFd fd(static_cast<int>(syscall(SYS_openat2, top, path.c_str(), &how, sizeof how)));
  if (!fd.valid()) return ErrnoError(errno, absl::StrCat("open ", path));
  return fd;
}

absl::Status RemoveBeneath(int top, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  RISEML_ASSIGN_OR_RETURN(const UniqueFd directory, OpenBeneath(top, parent, O_RDONLY | O_DIRECTORY));
  if (unlinkat(directory.get(), name.c_str(), 0) != 0 && errno != ENOENT)
    return ErrnoError(errno, absl::StrCat("remove ", path));
  return absl::OkStatus();
}

}  // namespace riseml
