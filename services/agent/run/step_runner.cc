#include "services/agent/run/step_runner.h"

#include <signal.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/agent/process/process.h"
#include "services/agent/shell/failure_hint.h"
#include "services/agent/shell/shell_process.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr int kSyntaxErrorCode = 2;
// Directories for the files of the shells.
constexpr char kStepsDirectory[] = "/steps";
constexpr char kCommandsDirectory[] = "/commands";

}  // namespace

StepRunner::StepRunner(const std::string& dir, const internal::v1::RunPlan& plan, const Clock& clock,
                       OutputPipe& output, int output_write, Watch watch)
    : dir_(dir),
      plan_(plan),
      clock_(clock),
      output_(output),
      output_write_(output_write),
      watch_(std::move(watch)),
      shell_(ChooseShell(plan_.shell())),
      sequence_(plan_),
      cache_(plan_, dir_ + kStepsDirectory, shell_, output_write_) {}

// Steps and commands run in separate shells, because state that a step leaves in its shell is lost when the environment
// is reused.
absl::Status StepRunner::OpenSession(const Step& step) {
  std::vector<std::string> items;
  if (step.build)
    for (const internal::v1::BuildStep& item : plan_.build_steps()) items.push_back(item.command());
  else
    items.assign(plan_.commands().begin(), plan_.commands().end());
  RISEML_ASSIGN_OR_RETURN(
      session_, ShellSession::Create(dir_ + (step.build ? kStepsDirectory : kCommandsDirectory), shell_, items));
  return watch_(session_->fd());
}

absl::Status StepRunner::StartShell() {
  RISEML_ASSIGN_OR_RETURN(std::vector<std::string> words, session_->CommandLine(step_.number));
  RISEML_ASSIGN_OR_RETURN(main_, StartShellProcess(plan_, std::move(words), output_write_));
  return absl::OkStatus();
}

// Uses results of steps that earlier builds have kept, then runs the first of the other steps.
absl::Status StepRunner::Begin(absl::Time began) {
  if (plan_.in_container() && access(shell_.c_str(), X_OK) != 0) return output_.Print(sequence_.FailWithoutShell());
  if (const absl::Status begun = cache_.Begin(began, clock_.Now()); !begun.ok())
    RISEML_RETURN_IF_ERROR(output_.Print(
        absl::StrCat("==> What the steps make is not kept for later builds: ", std::string(begun.message()), "\n")));
  if (!cache_.HasPreparation()) return StartNext();
  const ForkedTask::Work prepare = [this]() -> absl::StatusOr<std::string> {
    RISEML_ASSIGN_OR_RETURN(const int steps, cache_.Prepare(clock_.Now()));
    return absl::StrCat(steps);
  };
  return task_.Start(prepare, [this](absl::StatusOr<std::string> steps) { return OnPrepared(std::move(steps)); });
}

absl::Status StepRunner::OnPrepared(absl::StatusOr<std::string> steps) {
  int count = 0;
  if (steps.ok() && absl::SimpleAtoi(*steps, &count)) {
    sequence_.Skip(count);
    cache_.CountFrom(clock_.Now());
    return StartNext();
  }
  if (cache_.IsAnew()) {
    RISEML_RETURN_IF_ERROR(output_.Print(
        absl::StrCat("==> What earlier builds kept of the steps could not be removed, and later builds may use it: ",
                     std::string(steps.status().message()), "\n")));
    return StartNext();
  }
  RISEML_RETURN_IF_ERROR(
      output_.Print(absl::StrCat("==> All steps run, as what an earlier build kept of them cannot be used: ",
                                 std::string(steps.status().message()), "\n")));
  const ForkedTask::Work undo = [this]() -> absl::StatusOr<std::string> {
    RISEML_RETURN_IF_ERROR(cache_.Undo());
    return std::string();
  };
  // Steps that find parts of kept results could make a broken environment.
  return task_.Start(undo, [this](const absl::StatusOr<std::string>& undone) {
    return undone.ok() ? StartNext() : While("remove what an earlier build kept", undone.status());
  });
}

// The shell waits meanwhile.
absl::Status StepRunner::KeepSteps() {
  const int done = step_.number - 1;
  const ForkedTask::Work keep = [this, done] { return cache_.Keep(done, main_, clock_.Now()); };
  return task_.Start(keep, [this, done](const absl::StatusOr<std::string>& line) -> absl::Status {
    RISEML_RETURN_IF_ERROR(output_.Print(
        line.ok() ? *line
                  : absl::StrCat("==> ", NameSteps(done, step_.total),
                                 " not kept for later builds: ", std::string(line.status().message()), "\n")));
    if (!line.ok() || !line->empty()) cache_.CountFrom(clock_.Now());
    return LetStepBegin();
  });
}

// Lets the shell begin the step that it has asked for.
absl::Status StepRunner::LetStepBegin() {
  RISEML_RETURN_IF_ERROR(output_.Print(step_.announcement));
  oom_kills_before_ = KillsForMemory();
  return session_->Answer(step_.number);
}

absl::Status StepRunner::StartNext() {
  std::optional<Step> step = sequence_.Next();
  if (!step) return absl::OkStatus();
  if (session_ == nullptr || step->build != step_.build) RISEML_RETURN_IF_ERROR(OpenSession(*step));
  step_ = *std::move(step);
  RISEML_RETURN_IF_ERROR(output_.Print(step_.announcement));
  oom_kills_before_ = KillsForMemory();
  main_status_.reset();
  failure_.reset();
  return StartShell();
}

// The shell has done a step and asks for the next one.
absl::Status StepRunner::HandleReports() {
  if (session_ == nullptr) return absl::OkStatus();
  for (const ShellReport& report : session_->TakeReports()) {
    if (report.kind == ShellReport::Kind::kFailed) failure_ = report;
    const bool expected = report.kind == ShellReport::Kind::kBegin && report.number == step_.number + 1;
    if (!expected || main_ == 0 || main_status_ || task_.runs() || sequence_.cause() != StopCause::kNone) continue;
    RISEML_RETURN_IF_ERROR(output_.Print(sequence_.Finished({})));
    std::optional<Step> step = sequence_.Next();
    if (!step) continue;
    step_ = *std::move(step);
    failure_.reset();
    const bool may_keep = step_.build && cache_.MayKeep(step_.number - 1, main_, clock_.Now());
    RISEML_RETURN_IF_ERROR(may_keep ? KeepSteps() : LetStepBegin());
  }
  return absl::OkStatus();
}

// A container has its own limit, and its own count.
std::int64_t StepRunner::KillsForMemory() const { return plan_.in_container() ? CgroupOomKills() : OomKills(); }

StepResult StepRunner::ResultOf(int exit_code) {
  StepResult result{.exit_code = exit_code};
  if (exit_code == 0) return result;
  const bool killed = exit_code == 128 + SIGKILL && !killed_;
  result.out_of_memory = killed && KillsForMemory() > oom_kills_before_;
  if (sequence_.cause() != StopCause::kNone) return result;
  result.other_python = MayBeForAnotherPython(output_.tail());
  if (step_.build && plan_.build_steps(step_.number - 1).explains_failure()) {
    result.said = LastLineOf(output_.tail());
    return result;
  }
  if (failure_ && failure_->status == exit_code) result.line = failure_->number;
  if (result.line == 0 && exit_code == kSyntaxErrorCode) result.line = session_->LineOfBadSyntax(step_.number);
  if (result.line == 0) result.line = LineOfExit(step_.command, exit_code);
  const std::string line = result.line > 0 ? LineOf(step_.command, result.line) : step_.command;
  result.hint = HintAt({.line = line,
                        .output = output_.tail(),
                        .exit_code = exit_code,
                        .script = LookAtScript(plan_.work_dir(), ScriptOf(line))});
  return result;
}

absl::Status StepRunner::OnMainEnded(int wait_status) {
  main_ = 0;
  main_status_.reset();
  task_.Cancel();
  RISEML_RETURN_IF_ERROR(output_.Copy());
  RISEML_RETURN_IF_ERROR(output_.Print(sequence_.Finished(ResultOf(ExitCodeOf(wait_status)))));
  return StartNext();
}

void StepRunner::Reaped(pid_t pid, int status) {
  if (pid == main_) main_status_ = status;
  task_.Reaped(pid, status);
}

absl::Status StepRunner::GoOn() {
  RISEML_RETURN_IF_ERROR(HandleReports());
  if (main_status_) RISEML_RETURN_IF_ERROR(OnMainEnded(*main_status_));
  return task_.GoOn();
}

void StepRunner::Stop(StopCause cause) {
  sequence_.Stop(cause);
  task_.Cancel();
}

}  // namespace riseml::agent
