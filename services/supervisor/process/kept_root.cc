#include "services/supervisor/process/kept_root.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

namespace riseml::supervisor {
namespace {

constexpr uid_t kSame = static_cast<uid_t>(-1);

// Raw system calls: those of glibc change all threads of the process.
bool SetThreadsUser(uid_t real, uid_t effective, uid_t saved) {
  return syscall(SYS_setresuid, real, effective, saved) == 0;
}
bool SetThreadsGroup(gid_t group) { return syscall(SYS_setresgid, group, group, group) == 0; }

bool KeepsRoot() {
  uid_t real = 0, effective = 0, saved = 0;
  return getresuid(&real, &effective, &saved) == 0 && effective != 0 && saved == 0;
}

}  // namespace

AsRoot::AsRoot() {
  const uid_t account = geteuid();
  if (KeepsRoot() && SetThreadsUser(kSame, 0, kSame)) account_ = account;
}

AsRoot::~AsRoot() {
  if (account_ != 0 && !SetThreadsUser(kSame, account_, kSame)) std::abort();
}

bool TakeProgramsRights(bool as_root) {
  if (as_root && KeepsRoot()) return SetThreadsUser(0, 0, 0) && SetThreadsGroup(0);
  const uid_t own = geteuid();
  return SetThreadsUser(kSame, own, own);
}

}  // namespace riseml::supervisor
