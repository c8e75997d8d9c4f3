#include "services/agent/shell/system_call_filter.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

struct Refused {
  const char* name;
  int error;
};

// Refused as containers refuse them (Docker's default profile); a namespace or a missing capability stops most of them
// anyway. Programs fall back to other calls if the kernel does not have io_uring.
constexpr Refused kRefused[] = {
    // Keyrings belong to the account, which all jobs share.
    {"add_key", EPERM},
    {"keyctl", EPERM},
    {"request_key", EPERM},
    // Large parts of the kernel.
    {"bpf", EPERM},
    {"io_uring_enter", ENOSYS},
    {"io_uring_register", ENOSYS},
    {"io_uring_setup", ENOSYS},
    {"perf_event_open", EPERM},
    {"userfaultfd", EPERM},
    // Files by a number instead of a path.
    {"open_by_handle_at", EPERM},
    // Mounts and namespaces.
    {"fsconfig", EPERM},
    {"fsmount", EPERM},
    {"fsopen", EPERM},
    {"fspick", EPERM},
    {"mount", EPERM},
    {"mount_setattr", EPERM},
    {"move_mount", EPERM},
    {"open_tree", EPERM},
    {"pivot_root", EPERM},
    {"setns", EPERM},
    {"umount", EPERM},
    {"umount2", EPERM},
    {"unshare", EPERM},
    // The machine itself.
    {"acct", EPERM},
    {"delete_module", EPERM},
    {"finit_module", EPERM},
    {"init_module", EPERM},
    {"ioperm", EPERM},
    {"iopl", EPERM},
    {"kexec_file_load", EPERM},
    {"kexec_load", EPERM},
    {"lookup_dcookie", EPERM},
    {"nfsservctl", EPERM},
    {"quotactl", EPERM},
    {"quotactl_fd", EPERM},
    {"reboot", EPERM},
    {"swapoff", EPERM},
    {"swapon", EPERM},
    {"syslog", EPERM},
    {"vhangup", EPERM},
};

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

absl::Status Failed(absl::string_view what, int result) {
  return ErrnoError(-result, absl::StrCat("make the filter of system calls: ", what));
}

absl::StatusOr<std::vector<sock_filter>> Compile(scmp_filter_ctx context) {
  const UniqueFd file(memfd_create("filter", MFD_CLOEXEC));
  if (file.get() < 0) return ErrnoError(errno, "make a file in memory");
  if (const int result = seccomp_export_bpf(context, file.get()); result != 0) return Failed("compile", result);
  struct stat info {};
  if (fstat(file.get(), &info) != 0) return ErrnoError(errno, "look at a file in memory");
  std::vector<sock_filter> program(static_cast<std::size_t>(info.st_size) / sizeof(sock_filter));
  const std::size_t bytes = program.size() * sizeof(sock_filter);
  if (pread(file.get(), program.data(), bytes, 0) != static_cast<ssize_t>(bytes))
    return ErrnoError(errno, "read a file in memory");
  return program;
}

}  // namespace

absl::StatusOr<SystemCallFilter> SystemCallFilter::Make() {
  const Context context(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  if (context == nullptr) return Failed("start", -ENOMEM);
  const auto failed = [&](int result) { return result != 0 && result != -EEXIST && result != -EDOM; };
#ifdef __x86_64__
  for (const uint32_t other : {SCMP_ARCH_X86, SCMP_ARCH_X32})
    if (const int result = seccomp_arch_add(context.get(), other); failed(result)) return Failed("32 bit", result);
#endif
  if (const int result = seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)); result != 0)
    return Failed("other processors", result);
  for (const Refused& refused : kRefused) {
    const int number = seccomp_syscall_resolve_name(refused.name);
    if (number == __NR_SCMP_ERROR) continue;  // call is newer than this libseccomp
    if (const int result = seccomp_rule_add(context.get(), SCMP_ACT_ERRNO(refused.error), number, 0); failed(result))
      return Failed(refused.name, result);
  }
  auto program = Compile(context.get());
  if (!program.ok()) return program.status();
  return SystemCallFilter(*std::move(program));
}

bool SystemCallFilter::Apply() const {
  const sock_fprog program = {.len = static_cast<unsigned short>(program_.size()),
                              .filter = const_cast<sock_filter*>(program_.data())};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 || errno == EINVAL;
}

}  // namespace riseml::agent
