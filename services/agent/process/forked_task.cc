#include "services/agent/process/forked_task.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

// An answer of this size fits into a pipe, so that the child can end before the parent reads.
constexpr std::size_t kMaxAnswerBytes = 4096;
constexpr int kDone = 0;
constexpr int kFailed = 1;

[[noreturn]] void WorkAndExit(const ForkedTask::Work& work, const UniqueFd& answer) {
  signal(SIGTERM, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const absl::StatusOr<std::string> result = work();
  const std::string text = (result.ok() ? *result : std::string(result.status().message())).substr(0, kMaxAnswerBytes);
  const bool told = WriteAll(answer.get(), text).ok();
  _exit(result.ok() && told ? kDone : kFailed);
}

}  // namespace

absl::Status ForkedTask::Start(const Work& work, Then then) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return then(ErrnoError(errno, "make a pipe"));
  answer_ = UniqueFd(ends[0]);
  const UniqueFd writing(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return then(ErrnoError(errno, "start a task"));
  if (pid == 0) WorkAndExit(work, writing);
  fcntl(answer_.get(), F_SETFL, O_NONBLOCK);
  pid_ = pid;
  then_ = std::move(then);
  return absl::OkStatus();
}

void ForkedTask::Reaped(pid_t pid, int wait_status) {
  if (runs() && pid == pid_) wait_status_ = wait_status;
}

absl::Status ForkedTask::GoOn() {
  if (!wait_status_) return absl::OkStatus();
  const absl::StatusOr<std::string> result = Result(*wait_status_);
  pid_ = 0;
  wait_status_.reset();
  const Then then = std::exchange(then_, nullptr);
  return then ? then(result) : absl::OkStatus();
}

void ForkedTask::Cancel() {
  then_ = nullptr;
  if (runs() && !wait_status_) kill(pid_, SIGKILL);
}

absl::StatusOr<std::string> ForkedTask::Result(int wait_status) const {
  if (WIFSIGNALED(wait_status)) return absl::AbortedError(absl::StrCat("ended by signal ", WTERMSIG(wait_status)));
  char buffer[kMaxAnswerBytes];
  const ssize_t size = read(answer_.get(), buffer, sizeof buffer);
  std::string text(buffer, size > 0 ? static_cast<std::size_t>(size) : 0);
  if (WEXITSTATUS(wait_status) != kDone) return absl::InternalError(text);
  return text;
}

}  // namespace riseml::agent
