#include "services/supervisor/install/account.h"

#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/process/process.h"

namespace riseml::supervisor {
namespace {

constexpr char kSystemUser[] = "riseml";

constexpr int kTries = 20;

// Makes the user. Tries again while another program changes the user database or makes the same user.
absl::Status MakeSystemUser() {
  const std::vector<std::string> argv = {"useradd",          "--system",          "--user-group",
                                         "--no-create-home", "--home-dir",        "/nonexistent",
                                         "--shell",          "/usr/sbin/nologin", kSystemUser};
  const std::string advice =
      "; make it by hand, e.g. `useradd --system --user-group riseml`, or run RiseML as an ordinary user";
  std::string why;
  for (int i = 0; i < kTries; ++i) {
    absl::StatusOr<RunResult> result = RunAndWait(argv);
    if (!result.ok()) return absl::Status(result.status().code(), absl::StrCat(result.status().message(), advice));
    if (result->exit_code == 0 || getpwnam(kSystemUser) != nullptr) return absl::OkStatus();
    why = result->output;
    poll(nullptr, 0, 100);
  }
  return absl::FailedPreconditionError(absl::StrCat("make the system user riseml: ", why, advice));
}

}  // namespace

absl::StatusOr<Account> FindOrMakeAccount() {
  Account account;
  if (geteuid() != 0) {
    account.uid = geteuid();
    account.gid = getegid();
    const passwd* own = getpwuid(account.uid);
    account.name = own == nullptr ? absl::StrCat(account.uid) : own->pw_name;
    return account;
  }
  const passwd* found = getpwnam(kSystemUser);
  if (found == nullptr) {
    RISEML_RETURN_IF_ERROR(MakeSystemUser());
    account.created = true;
    found = getpwnam(kSystemUser);
  }
  if (found == nullptr) return absl::FailedPreconditionError("the system user riseml was made but cannot be found");
  if (found->pw_uid == 0) return absl::FailedPreconditionError("the user riseml must not be root");
  account.uid = found->pw_uid;
  account.gid = found->pw_gid;
  account.name = kSystemUser;
  account.drop = true;
  return account;
}

bool CanAccess(const Account& account, const std::string& path, int mode) {
  if (!account.drop) return access(path.c_str(), mode) == 0;
  const pid_t child = fork();
  if (child == 0) {
    const bool ok = setgroups(0, nullptr) == 0 && setgid(account.gid) == 0 && setuid(account.uid) == 0 &&
                    access(path.c_str(), mode) == 0;
    _exit(ok ? 0 : 1);
  }
  int status = 0;
  if (child < 0) return false;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

absl::Status GiveTree(const Account& account, const std::string& path) {
  if (!account.drop) return absl::OkStatus();
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0) return ErrnoError(errno, absl::StrCat("look at ", path));
  if (info.st_uid == account.uid) return absl::OkStatus();
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (lchown(it->path().c_str(), account.uid, account.gid) != 0)
      return ErrnoError(errno, absl::StrCat("give ", it->path().string(), " to ", account.name));
  }
  if (error) return ErrnoError(error.value(), absl::StrCat("walk ", path));
  // The root comes last: if this is interrupted, the next start does it again.
  if (lchown(path.c_str(), account.uid, account.gid) != 0)
    return ErrnoError(errno, absl::StrCat("give ", path, " to ", account.name));
  return absl::OkStatus();
}

absl::Status GiveWholeTrees(const Account& account, const std::vector<std::string>& paths) {
  if (!account.drop) return absl::OkStatus();
  // chown resolves names from directories that it holds open, so that nobody can put a link in its way.
  std::vector<std::string> argv = {"chown", "--recursive", "--no-dereference",
                                   absl::StrCat(account.uid, ":", account.gid), "--"};
  const std::size_t words = argv.size();
  std::ranges::copy_if(paths, std::back_inserter(argv), FileExists);
  if (argv.size() == words) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const RunResult result, RunAndWait(argv));
  if (result.exit_code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("give files to ", account.name, ": ", result.output));
}

absl::Status Become(const Account& account, RootRights rights) {
  if (!account.drop) return absl::OkStatus();
  const uid_t saved = rights == RootRights::kInReserve ? 0 : account.uid;
  if (setgroups(0, nullptr) != 0 || setgid(account.gid) != 0 || setresuid(account.uid, account.uid, saved) != 0)
    return ErrnoError(errno, absl::StrCat("become the user ", account.name));
  // With rights in reserve this process stays closed to others of its user, who could take them through it.
  if (rights == RootRights::kInReserve) return absl::OkStatus();
  // Makes this process an ordinary process of its user again, since it inspects its children through /proc.
  prctl(PR_SET_DUMPABLE, 1);
  if (setuid(0) == 0) return absl::InternalError("root's rights came back after they were given up");
  return absl::OkStatus();
}

}  // namespace riseml::supervisor
