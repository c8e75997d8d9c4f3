// Sequence of an attempt's steps and commands: says which one runs next and what its end means. Pure; knows no
// processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "riseml/internal/v1/attempt_files.pb.h"

namespace riseml::agent {

// One step of a build, or one command, for the shell.
struct Step {
  std::string command;
  std::string announcement;  // printed into the log before it; empty: nothing
  bool build = false;        // a step of the environment, not a command of the job
  int number = 1;            // among its kind, from 1
  int total = 1;             // of its kind
};

// Result of a step's process.
struct StepResult {
  int exit_code = 0;  // 128 + signal when a signal ended it
  bool out_of_memory =
      false;         // the kernel killed something for memory while it ran, and it died of a SIGKILL that was not ours
  int line = 0;      // line of the command that failed, from 1; 0: not known
  std::string hint;  // what to write instead, one sentence; empty: nothing is known
  bool other_python = false;  // it may have failed because its Python is not the one that was asked for
  std::string said;           // what a build step itself says about its failure, one line; may be empty
};

// Line `number` of a command, from 1, without blanks around it; empty when there is none.
std::string LineOf(absl::string_view command, int number);
// Number of the first line that is neither blank nor a comment; 1 when there is none.
int FirstLineOf(absl::string_view command);

// The last line of the output of the step that ran last, without blanks around it; empty when it printed nothing.
std::string LastLineOf(absl::string_view output);

// Exit code of a wait status, as shells count: 128 + n for signal n.
int ExitCodeOf(int wait_status);

// Reason for which the platform itself ends an attempt.
enum class StopCause { kNone, kAsked, kTimeLimit };

// Walks through steps; stops at the first failure.
class CommandSequence {
 public:
  // `plan` outlives this.
  explicit CommandSequence(const internal::v1::RunPlan& plan) : plan_(plan) {}

  // The next step; nullopt when there is none left or one has failed.
  std::optional<Step> Next();

  // Skips the first `steps` steps. Must be called before Next.
  void Skip(int steps) { next_ = steps; }

  // Records the result of the step that Next returned last. Returns what is to be printed into the log about it; mostly
  // nothing.
  std::string Finished(const StepResult& result);

  // Fails the attempt since there is no shell for its steps. Must be called before Next. Returns what is to be printed
  // into the log.
  std::string FailWithoutShell();

  // The platform stops the attempt. A step that runs now counts as stopped, whatever its exit code becomes.
  void Stop(StopCause cause) {
    if (cause_ == StopCause::kNone) cause_ = cause;
  }
  StopCause cause() const { return cause_; }

  // True when all steps have succeeded or one has failed: a stop changes nothing any more.
  bool IsDone() const { return failed_ || next_ == Total(); }

  // The outcome of the attempt, without time and log length.
  internal::v1::AttemptEnded Outcome() const;

 private:
  int Total() const { return plan_.build_steps_size() + plan_.commands_size(); }
  bool IsBuildStep(int index) const { return index < plan_.build_steps_size(); }
  std::string MessageOf(int index, const StepResult& result) const;

  const internal::v1::RunPlan& plan_;
  int next_ = 0;      // index of the step to run next
  int running_ = -1;  // index of the step that runs
  bool failed_ = false;
  bool without_shell_ = false;
  int last_ = -1;  // index of the step that ended last
  StepResult last_result_;
  StopCause cause_ = StopCause::kNone;
};

// Makes a text fit for a message: valid UTF-8, one line, at most `max_bytes`.
std::string ForMessage(absl::string_view text, std::size_t max_bytes = 1000);

}  // namespace riseml::agent
