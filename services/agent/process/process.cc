#include "services/agent/process/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::int64_t kMaxProcFile = 4 << 20;

std::vector<pid_t> AllPids() {
  std::vector<pid_t> pids;
  DIR* dir = opendir("/proc");
  if (dir == nullptr) return pids;
  while (const dirent* entry = readdir(dir)) {
    int pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid)) pids.push_back(pid);
  }
  closedir(dir);
  return pids;
}

constexpr absl::string_view kShellNames[] = {"bash", "dash", "sh", "zsh", "ksh", "mksh", "ash", "busybox"};

std::string ReadLink(const std::string& path) {
  char target[4096];
  const ssize_t n = readlink(path.c_str(), target, sizeof target);
  return n > 0 ? std::string(target, n) : std::string();
}

std::string CommandOf(pid_t pid) {
  const std::string proc = absl::StrCat("/proc/", pid);
  return absl::StrCat(ReadLink(proc + "/exe"), "\n", ReadFile(proc + "/cmdline", kMaxProcFile).value_or(""));
}

// Shells without job control make their background jobs ignore SIGINT and SIGQUIT. Hardly any program ignores SIGQUIT
// by itself.
bool IgnoresQuit(absl::string_view status) {
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    std::uint64_t ignored = 0;
    if (absl::ConsumePrefix(&line, "SigIgn:") && absl::SimpleHexAtoi(absl::StripAsciiWhitespace(line), &ignored))
      return (ignored >> (SIGQUIT - 1) & 1) != 0;
  }
  return false;
}

// The count in a file with lines "NAME COUNT"; nullopt if the file does not have it.
std::optional<std::int64_t> OomKillsIn(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, 1 << 20);
  if (!text.ok()) return std::nullopt;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    std::int64_t count = 0;
    if (words.size() == 2 && words[0] == "oom_kill" && absl::SimpleAtoi(words[1], &count)) return count;
  }
  return std::nullopt;
}

}  // namespace

ProcessIdentity IdentityOf(const internal::v1::ProcessId& process) {
  return {process.pid(), process.start_ticks(), process.boot_id()};
}

absl::StatusOr<internal::v1::ProcessId> Identify(pid_t pid) {
  RISEML_ASSIGN_OR_RETURN(ProcessIdentity identity, riseml::Identify(pid));
  internal::v1::ProcessId process;
  process.set_pid(identity.pid);
  process.set_start_ticks(identity.start_ticks);
  process.set_boot_id(std::move(identity.boot_id));
  return process;
}

std::vector<ProcessStat> Family(pid_t root) {
  std::multimap<pid_t, ProcessStat> children;
  for (const pid_t pid : AllPids())
    if (const absl::StatusOr<ProcessStat> stat = ReadProcessStat(pid); stat.ok()) children.emplace(stat->parent, *stat);
  std::vector<ProcessStat> found;
  std::vector<pid_t> open = {root};
  std::set<pid_t> seen = {root};
  while (!open.empty()) {
    const pid_t parent = open.back();
    open.pop_back();
    const auto [first, last] = children.equal_range(parent);
    for (auto it = first; it != last; ++it) {
      if (!seen.insert(it->second.pid).second) continue;
      open.push_back(it->second.pid);
      if (!it->second.ended()) found.push_back(it->second);
    }
  }
  return found;
}

std::vector<pid_t> Descendants(pid_t root) {
  std::vector<pid_t> pids;
  for (const ProcessStat& process : Family(root)) pids.push_back(process.pid);
  return pids;
}

ProcessDetail Inspect(const ProcessStat& process) {
  const std::string proc = absl::StrCat("/proc/", process.pid);
  ProcessDetail detail;
  const std::string program = ReadLink(proc + "/exe");
  const absl::string_view name = absl::string_view(program).substr(program.rfind('/') + 1);
  detail.shell = std::ranges::find(kShellNames, name) != std::end(kShellNames);
  detail.command = CommandOf(process.pid);
  detail.copy_of_parent = detail.command == CommandOf(process.parent);
  detail.background = IgnoresQuit(ReadFile(proc + "/status", kMaxProcFile).value_or(""));
  const auto pipe_at = [&proc](absl::string_view descriptor) {
    std::string target = ReadLink(absl::StrCat(proc, "/fd/", descriptor));
    return absl::StartsWith(target, "pipe:") ? target : std::string();
  };
  detail.standard_input = pipe_at("0");
  detail.standard_output = pipe_at("1");
  return detail;
}

std::int64_t OomKills() { return OomKillsIn("/proc/vmstat").value_or(0); }

std::int64_t CgroupOomKills() {
  const std::string cgroups = ReadFile("/proc/self/cgroup", kMaxProcFile).value_or("");
  for (const absl::string_view line : absl::StrSplit(cgroups, '\n')) {
    // "4:memory:/PATH" with v1, "0::/PATH" with v2. A container sees its cgroup at this path or as the root.
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const bool v1 = parts[1] == "memory";
    if (!v1 && !(parts[0] == "0" && parts[1].empty())) continue;
    for (const absl::string_view path : {parts[2], absl::string_view()})
      if (const auto kills = OomKillsIn(
              absl::StrCat("/sys/fs/cgroup", v1 ? "/memory" : "", path, v1 ? "/memory.oom_control" : "/memory.events")))
        return *kills;
  }
  return 0;
}

std::vector<pid_t> ProcessesWithVariable(absl::string_view assignment) {
  std::vector<pid_t> found;
  for (const pid_t pid : AllPids()) {
    if (pid == getpid()) continue;
    const absl::StatusOr<std::string> environment = ReadFile(absl::StrCat("/proc/", pid, "/environ"), kMaxProcFile);
    if (!environment.ok()) continue;
    for (const absl::string_view entry : absl::StrSplit(*environment, '\0')) {
      if (entry != assignment) continue;
      const absl::StatusOr<ProcessStat> stat = ReadProcessStat(pid);
      if (stat.ok() && !stat->ended()) found.push_back(pid);
      break;
    }
  }
  return found;
}

absl::Status KillProcessesWithVariable(absl::string_view assignment) {
  for (int round = 0; round < 100; ++round) {
    const std::vector<pid_t> pids = ProcessesWithVariable(assignment);
    if (pids.empty()) return absl::OkStatus();
    for (const pid_t pid : pids) {
      // Signals through a descriptor, so that a reused pid is not hit.
      const absl::StatusOr<ProcessIdentity> process = riseml::Identify(pid);
      if (!process.ok()) continue;
      const absl::StatusOr<UniqueFd> fd = OpenProcess(*process);
      if (!fd.ok()) continue;
      RISEML_RETURN_IF_ERROR(SignalProcess(*fd, SIGKILL));
      pollfd ended{fd->get(), POLLIN, 0};
      poll(&ended, 1, 100);
    }
  }
  return absl::DeadlineExceededError("processes of an ended job remain although they were killed");
}

absl::Status LockFile(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd, F_SETLK, &lock) == 0) return absl::OkStatus();
  if (errno == EACCES || errno == EAGAIN) return absl::FailedPreconditionError("another process holds the lock");
  return ErrnoError(errno, "lock a file");
}

absl::StatusOr<pid_t> LockHolder(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd, F_GETLK, &lock) != 0) return ErrnoError(errno, "ask who holds a lock");
  return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

}  // namespace riseml::agent
