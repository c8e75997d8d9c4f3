// Processes of this machine: how to identify and inspect them, and how to find and end a whole tree.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "services/common/base/process_identity.h"

namespace riseml::agent {

ProcessIdentity IdentityOf(const internal::v1::ProcessId& process);

// The process that has this pid now. NOT_FOUND if there is none.
absl::StatusOr<internal::v1::ProcessId> Identify(pid_t pid);

// All live descendants of `root`, without itself; zombies are left out.
std::vector<pid_t> Descendants(pid_t root);

// The same descendants, as rows of /proc.
std::vector<ProcessStat> Family(pid_t root);

// More about a process, as far as /proc shows it.
struct ProcessDetail {
  std::string command;          // its program and its arguments
  bool shell = false;           // the program is a shell
  bool background = false;      // a shell started it with `&`: it ignores SIGQUIT
  bool copy_of_parent = false;  // `command` is that of its parent, as it may not have called exec yet
  std::string standard_input;   // the pipe it reads from, e.g. "pipe:[123]"; empty: none
  std::string standard_output;  // the pipe it writes to
};
ProcessDetail Inspect(const ProcessStat& process);

// Number of processes that the kernel has killed for lack of memory, on the whole machine; 0 if it does not say.
std::int64_t OomKills();

// The same for the processes of the cgroup of this process.
std::int64_t CgroupOomKills();

// All live processes whose environment holds exactly this "NAME=value", as far as /proc shows it.
std::vector<pid_t> ProcessesWithVariable(absl::string_view assignment);

// SIGKILL to everything that has the variable, again and again until nothing is left. DEADLINE_EXCEEDED when processes
// remain after 100 rounds, which happens only for processes stuck in the kernel.
absl::Status KillProcessesWithVariable(absl::string_view assignment);

// Takes the POSIX write lock of a whole file for this process. FAILED_PRECONDITION when another process holds it. The
// lock ends with the process, or when it closes any descriptor of the file.
absl::Status LockFile(int fd);

// The process that holds the lock; 0 when nobody does, or when we do.
absl::StatusOr<pid_t> LockHolder(int fd);

}  // namespace riseml::agent
