#include "services/supervisor/install/admin_key.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/enter_account.h"
#include "services/supervisor/install/lock.h"
#include "services/supervisor/process/log_files.h"
#include "services/supervisor/process/process.h"

namespace riseml::supervisor {
namespace {

constexpr char kVerb[] = "admin-key";  // of riseml-api

// Runs with the rights of the account.
absl::Status RunApi(const Layout& layout, const Programs& programs) {
  const std::string output = layout.PendingKey() + ".new";
  RISEML_ASSIGN_OR_RETURN(const pid_t pid,
                          Spawn({.argv = {programs.bin_dir + "/riseml-api", kVerb, "--config", layout.Config("api")},
                                 .environment = ServiceEnvironment(layout.home),
                                 .log_file = layout.LogFile(kVerb),
                                 .output_file = output},
                                [](pid_t) { return absl::OkStatus(); }));
  const int status = WaitFor(pid);
  if (status != 0)
    return absl::InternalError(
        absl::StrCat("riseml-api ", kVerb, " ended with ", DescribeExit(status),
                     EndOfLog(layout.LogFile(kVerb), absl::StrCat(layout.dir, "/logs/", kVerb, ".log"), 1)));
  if (std::rename(output.c_str(), layout.PendingKey().c_str()) != 0)
    return ErrnoError(errno, absl::StrCat("keep the key in ", layout.PendingKey()));
  return absl::OkStatus();
}

absl::Status RunInAccount(const std::string& dir, Programs programs) {
  umask(077);
  RISEML_ASSIGN_OR_RETURN(const Account account, FindOrMakeAccount());
  RISEML_ASSIGN_OR_RETURN(const Layout layout, EnterAccount(account, dir, &programs, RootRights::kGivenUp));
  return RunApi(layout, programs);
}

}  // namespace

absl::Status MakeAdminKey(const std::string& dir, Programs programs) {
  RISEML_ASSIGN_OR_RETURN(std::optional<UniqueFd> lock, TryLock(dir));
  if (lock.has_value())
    return absl::FailedPreconditionError(absl::StrCat("RiseML in ", dir, " is not up; run `riseml up` first"));
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) return ErrnoError(errno, "start a process for the installation's account");
  if (child == 0) {
    const absl::Status status = RunInAccount(dir, std::move(programs));
    if (!status.ok()) std::fprintf(stderr, "ERROR: %s\n", std::string(status.message()).c_str());
    _exit(status.ok() ? 0 : 1);
  }
  if (WaitFor(child) == 0) return absl::OkStatus();
  return absl::InternalError("no key was made");
}

}  // namespace riseml::supervisor
