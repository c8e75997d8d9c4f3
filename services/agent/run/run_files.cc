#include "services/agent/run/run_files.h"

#include <fcntl.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::agent {

absl::Status CloseOnExec(const RunFiles& files) {
  for (const int fd : {files.log, files.journal, files.results, files.output_read, files.output_write})
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return ErrnoError(errno, absl::StrCat("use descriptor ", fd));
  for (const int fd : {files.network_ready, files.network_alive})
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);  // they exist only if the job has its own network
  return absl::OkStatus();
}

}  // namespace riseml::agent
