// Identifies a process for good: its pid alone is reused later.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"

namespace riseml {

// Unique among all processes of a machine.
struct ProcessIdentity {
  pid_t pid = 0;
  std::int64_t start_ticks = 0;  // clock ticks since the boot
  std::string boot_id;
  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

// A row of /proc.
struct ProcessStat {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = '?';
  std::int64_t start_ticks = 0;  // clock ticks since the boot
  bool ended() const { return state == 'Z' || state == 'X'; }
};

// Id of the machine's current boot.
absl::StatusOr<std::string> BootId();

// NOT_FOUND when there is no such process.
absl::StatusOr<ProcessStat> ReadProcessStat(pid_t pid);

// Parses the content of /proc/PID/stat; the command name in it may hold anything.
absl::StatusOr<ProcessStat> ParseProcessStat(absl::string_view text);

// The process that has this pid now. NOT_FOUND if there is none, or only its zombie.
absl::StatusOr<ProcessIdentity> Identify(pid_t pid);

// True when that very process still runs.
bool IsAlive(const ProcessIdentity& process);

// A descriptor that becomes readable when the process ends. NOT_FOUND when it has ended, or when the pid means another
// process now.
absl::StatusOr<UniqueFd> OpenProcess(const ProcessIdentity& process);

// Sends a signal to the process behind a descriptor of OpenProcess. A process that is gone is not an error.
absl::Status SignalProcess(const UniqueFd& process, int signal);

}  // namespace riseml
