// Processes of the supervisor: starting, recording and identifying them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/common/base/process_identity.h"

namespace riseml::supervisor {

// Returns the identity of the file at `path` ("device:inode:size:modification time"), to tell whether a program has
// been replaced. Empty if there is none.
std::string FileIdentity(const std::string& path);

ProcessIdentity IdentityOf(const config::v1::ProcessRecord& record);

// Fills in the process that has this pid now. NOT_FOUND if there is none.
absl::Status Identify(pid_t pid, config::v1::ProcessRecord& record);

// Waits until a descriptor is readable, at most for `limit`.
void WaitReadable(int fd, absl::Duration limit);

// Write and read the record of a process. WriteRecord also writes the pid file, which has only the pid, for users and
// scripts. ReadRecord returns NOT_FOUND if there is no record.
absl::Status WriteRecord(const std::string& pid_file, const std::string& record_file,
                         const config::v1::ProcessRecord& record);
absl::StatusOr<config::v1::ProcessRecord> ReadRecord(const std::string& record_file);

// Opens the process of a record in order to signal it. The account of the services can change the records, and root
// signals what they name: PERMISSION_DENIED if the process has neither the rights of `account`, nor those of root and
// `node_config` as an argument. NOT_FOUND if it has ended.
absl::StatusOr<UniqueFd> OpenRecorded(const config::v1::ProcessRecord& record, uid_t account,
                                      const std::string& node_config);

struct SpawnRequest {
  std::vector<std::string> argv;  // argv[0] is the path of the program
  std::vector<std::string> environment;
  std::string log_file;     // standard error, appended to
  std::string output_file;  // standard output, replaced, mode 0600; empty: the log file too
  std::vector<int> passed;  // descriptors that the program also gets, with the same numbers
  bool as_root = false;     // the program gets the root's rights that this process keeps, if it keeps any
};

// Starts a program in its own session. Calls `record` with the pid before the program runs: if `record` fails, or if
// this process dies meanwhile, the program never runs. Returns once the program has been executed.
absl::StatusOr<pid_t> Spawn(const SpawnRequest& request, const std::function<absl::Status(pid_t)>& record);

// Waits for the end of a child of this process. Returns its wait status.
int WaitFor(pid_t child);

struct RunResult {
  int exit_code = 0;   // 128 + signal when killed
  std::string output;  // standard output and error, at most 16 KiB
};

// Runs a short command found in PATH and waits for its end. `input` is its standard input.
absl::StatusOr<RunResult> RunAndWait(const std::vector<std::string>& argv, absl::string_view input = {});

// Variables passed on to services: PATH, locale, time zone, TLS.
std::vector<std::string> ServiceEnvironment(const std::string& home);
// The same with proxies and package indexes, whose URLs may contain passwords. For the node, which passes them on to
// jobs without the passwords.
std::vector<std::string> NodeEnvironment(const std::string& home);

// Describes a wait status for users: "exit code 3", "signal 9".
std::string DescribeExit(int wait_status);

}  // namespace riseml::supervisor
