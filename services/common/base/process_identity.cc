#include "services/common/base/process_identity.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml {
namespace {

constexpr std::int64_t kMaxProcFile = 64 << 10;

}  // namespace

absl::StatusOr<std::string> BootId() {
  RISEML_ASSIGN_OR_RETURN(const std::string text, ReadFile("/proc/sys/kernel/random/boot_id", 4096));
  return std::string(absl::StripAsciiWhitespace(text));
}

absl::StatusOr<ProcessStat> ParseProcessStat(absl::string_view text) {
  const std::size_t open = text.find(" (");
  const std::size_t close = text.rfind(") ");
  ProcessStat stat;
  if (open == absl::string_view::npos || close == absl::string_view::npos ||
      !absl::SimpleAtoi(text.substr(0, open), &stat.pid))
    return absl::InternalError("a line of /proc/PID/stat has an unknown form");
  // After the name: state ppid pgrp session tty_nr … starttime, which is number 22 of the whole line.
  const std::vector<absl::string_view> fields = absl::StrSplit(text.substr(close + 2), ' ');
  if (fields.size() < 20 || fields[0].size() != 1 || !absl::SimpleAtoi(fields[1], &stat.parent) ||
      !absl::SimpleAtoi(fields[19], &stat.start_ticks))
    return absl::InternalError("a line of /proc/PID/stat has an unknown form");
  stat.state = fields[0][0];
  return stat;
}

absl::StatusOr<ProcessStat> ReadProcessStat(pid_t pid) {
  absl::StatusOr<std::string> text = ReadFile(absl::StrCat("/proc/", pid, "/stat"), kMaxProcFile);
  // A process that ends while its file is read shows as ESRCH.
  if (!text.ok()) return Error(Reason::kNotFound, absl::StrCat("process ", pid, " is gone"));
  return ParseProcessStat(*text);
}

absl::StatusOr<ProcessIdentity> Identify(pid_t pid) {
  RISEML_ASSIGN_OR_RETURN(const ProcessStat stat, ReadProcessStat(pid));
  if (stat.ended()) return Error(Reason::kNotFound, absl::StrCat("process ", pid, " has ended"));
  RISEML_ASSIGN_OR_RETURN(std::string boot_id, BootId());
  return ProcessIdentity{pid, stat.start_ticks, std::move(boot_id)};
}

bool IsAlive(const ProcessIdentity& process) {
  const absl::StatusOr<ProcessIdentity> now = Identify(process.pid);
  return now.ok() && *now == process;
}

absl::StatusOr<UniqueFd> OpenProcess(const ProcessIdentity& process) {
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0)));
  if (!fd.valid() && errno == ESRCH) return Error(Reason::kNotFound, absl::StrCat("process ", process.pid, " is gone"));
  if (!fd.valid()) return ErrnoError(errno, absl::StrCat("open process ", process.pid));
  // The pid may have been reused before it was opened; now the descriptor keeps it from changing.
  if (!IsAlive(process)) return Error(Reason::kNotFound, absl::StrCat("process ", process.pid, " is another one now"));
  return fd;
}

absl::Status SignalProcess(const UniqueFd& process, int signal) {
  if (syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) != 0 && errno != ESRCH)
    return ErrnoError(errno, absl::StrCat("send signal ", signal));
  return absl::OkStatus();
}

}  // namespace riseml
