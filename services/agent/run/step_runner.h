// Runs the install steps of an attempt and then its commands, one after the other. Steps and commands run in separate
// shells, because state that a step leaves in its shell is lost when the environment is reused.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/agent/process/forked_task.h"
#include "services/agent/process/output_pipe.h"
#include "services/agent/run/step_cache.h"
#include "services/agent/shell/command_sequence.h"
#include "services/agent/shell/shell_session.h"
#include "services/common/base/clock.h"

namespace riseml::agent {

// Thread-compatible. The owner waits for events and children and reports them to this class.
class StepRunner {
 public:
  // Adds a descriptor to those that the owner waits for.
  using Watch = std::function<absl::Status(int fd)>;

  // `dir` is the directory of the attempt; the shells print to `output_write`, the other end of `output`. The
  // references must outlive this.
  StepRunner(const std::string& dir, const internal::v1::RunPlan& plan, const Clock& clock, OutputPipe& output,
             int output_write, Watch watch);

  // Takes results that earlier builds have kept, then starts the first of the other steps. `began` must be later than
  // the times of all files of the attempt.
  absl::Status Begin(absl::Time began);
  // True until everything has ended.
  bool runs() const { return main_ != 0 || task_.runs(); }
  // The shell; 0: none runs.
  pid_t shell_pid() const { return main_; }
  // Descriptor of the reports of the shell; -1: there is none yet.
  int fd() const { return session_ == nullptr ? -1 : session_->fd(); }

  // Must be called when a child of this process has ended. GoOn then continues.
  void Reaped(pid_t pid, int status);
  absl::Status GoOn();
  // Must be called when the shell has written to fd().
  absl::Status HandleReports();

  // Stops the attempt on behalf of the platform: no further step starts.
  void Stop(StopCause cause);
  StopCause cause() const { return sequence_.cause(); }
  // Must be called when the owner kills processes: from then on a SIGKILL does not count as a sign of exhausted memory.
  void NoteKill() { killed_ = true; }

  // The outcome, except for time and log length.
  internal::v1::AttemptEnded Outcome() const { return sequence_.Outcome(); }

 private:
  absl::Status OpenSession(const Step& step);
  absl::Status StartShell();
  absl::Status OnPrepared(absl::StatusOr<std::string> steps);
  absl::Status KeepSteps();
  absl::Status LetStepBegin();
  absl::Status StartNext();
  std::int64_t KillsForMemory() const;
  StepResult ResultOf(int exit_code);
  absl::Status OnMainEnded(int wait_status);

  const std::string& dir_;
  const internal::v1::RunPlan& plan_;
  const Clock& clock_;
  OutputPipe& output_;
  const int output_write_;
  const Watch watch_;
  const std::string shell_;
  CommandSequence sequence_;
  std::unique_ptr<ShellSession> session_;  // first of the steps, then of the commands
  StepCache cache_;
  ForkedTask task_;  // no step runs while the task does
  Step step_;        // the step that runs
  pid_t main_ = 0;   // the shell
  std::optional<int> main_status_;
  std::optional<ShellReport> failure_;  // reported by the shell for the step that runs
  std::int64_t oom_kills_before_ = 0;
  bool killed_ = false;
};

}  // namespace riseml::agent
