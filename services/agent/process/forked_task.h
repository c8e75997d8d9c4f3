// Work that takes long, done by a child so that `run` goes on watching and copying the log.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {

// One task at a time. Thread-compatible. The caller has no other threads, and reaps children.
class ForkedTask {
 public:
  // Runs in the child. Returns a result of at most 4 KiB for the parent; an error keeps only its message.
  using Work = std::function<absl::StatusOr<std::string>()>;
  // Runs in the parent with the child's result.
  using Then = std::function<absl::Status(const absl::StatusOr<std::string>&)>;

  // Starts the work. `then` is called at once when that is not possible.
  absl::Status Start(const Work& work, Then then);
  bool runs() const { return pid_ != 0; }
  // Tells that a child has ended, of the task or not.
  void Reaped(pid_t pid, int wait_status);
  // Calls `then` if the task has ended.
  absl::Status GoOn();
  // Ends a task that runs; its result is of no use.
  void Cancel();

 private:
  absl::StatusOr<std::string> Result(int wait_status) const;

  pid_t pid_ = 0;
  UniqueFd answer_;
  Then then_;
  std::optional<int> wait_status_;
};

}  // namespace riseml::agent
