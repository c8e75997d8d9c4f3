#include "services/agent/run/run_files.h"

#include <fcntl.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::agent {

absl::Status TakeFiles(const RunFiles& files) {
  for (const int fd : {files.log, files.journal, files.results, files.output_read, files.output_write})
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return ErrnoError(errno, absl::StrCat("use descriptor ", fd));
  for (const int fd : {files.forwarder, files.network_ready, files.network_alive})
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);  // not every job has them
  if (fcntl(files.output_read, F_SETFL, O_NONBLOCK) != 0) return ErrnoError(errno, "read the output without blocking");
  return absl::OkStatus();
}

}  // namespace riseml::agent
