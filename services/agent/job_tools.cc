#include "services/agent/job_tools.h"

#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "services/agent/shell_driver.h"
#include "services/common/base/file.h"
#include "services/common/base/status.h"

namespace riseml::agent {

absl::Status PlaceJobTools(const std::string& control, const std::string& agent) {
  const std::string directory = absl::StrCat(control, "/", kToolsDirectory);
  if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return ErrnoError(errno, absl::StrCat("mkdir ", directory));
  return WriteFileAtomically(directory + "/riseml-report",
                             absl::StrCat("#!/bin/sh\n"
                                          "# The program needs the libraries of the system, not those of the job.\n"
                                          "unset LD_LIBRARY_PATH LD_PRELOAD\n",
                                          "exec ", QuoteForShell(agent), " report \"$@\"\n"),
                             0755);
}

}  // namespace riseml::agent
