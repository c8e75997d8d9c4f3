// Long work that a child process does, so that `run` continues to watch processes and copy the log.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {

// One task at a time. Thread-compatible. The caller must have no other threads, and must reap children.
class ForkedTask {
 public:
  // Runs in the child. Returns a result of at most 4 KiB for the parent; an error keeps only its message.
  using Work = std::function<absl::StatusOr<std::string>()>;
  // Runs in the parent with the child's result.
  using Then = std::function<absl::Status(const absl::StatusOr<std::string>&)>;

  // Starts the work. If that fails, calls `then` at once with the error.
  absl::Status Start(const Work& work, Then then);
  bool runs() const { return pid_ != 0; }
  // Must be called for each child that has ended, whether it belongs to the task or not.
  void Reaped(pid_t pid, int wait_status);
  // Calls `then` if the task has ended.
  absl::Status GoOn();
  // Kills a running task and discards its result.
  void Cancel();

 private:
  absl::StatusOr<std::string> Result(int wait_status) const;

  pid_t pid_ = 0;
  UniqueFd answer_;
  Then then_;
  std::optional<int> wait_status_;
};

}  // namespace riseml::agent
