#include "services/agent/process/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/process/timer.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::agent {
namespace {

constexpr std::size_t kMaxProgramOutput = 1 << 20;
constexpr std::int64_t kTermMs = 5000;  // from SIGTERM to SIGKILL

// Reading end of a pipe and what has come out of it.
struct ProgramPipe {
  UniqueFd read, write;
  std::string text;

  absl::Status Open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError(errno, "make a pipe");
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
    fcntl(read.get(), F_SETFL, O_NONBLOCK);
    return absl::OkStatus();
  }
  // Takes what is there. Closes the pipe at its end.
  void Take() {
    char buffer[16384];
    while (read.valid()) {
      const ssize_t size = ::read(read.get(), buffer, sizeof buffer);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) return;
      if (size <= 0)
        read.Reset();
      else
        text.append(buffer, std::min<std::size_t>(size, kMaxProgramOutput - text.size()));
    }
  }
};

std::vector<char*> ProgramWords(const std::vector<std::string>& texts) {
  std::vector<char*> words;
  for (const std::string& text : texts) words.push_back(const_cast<char*>(text.c_str()));
  words.push_back(nullptr);
  return words;
}

// Starts the program in a process group of its own, without the signal settings of this process.
absl::StatusOr<pid_t> SpawnProgram(const ProgramRequest& request, int output, int errors) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const std::vector<char*> argv = ProgramWords(request.argv), environment = ProgramWords(request.environment);
  const int error = posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return ErrnoError(error, absl::StrCat("start ", request.argv[0]));
  return pid;
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Watches a program until it ends, and makes it end.
class ProgramWatch {
 public:
  ProgramWatch(pid_t pid, absl::Duration limit)
      : pid_(pid),
        process_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))),
        stopped_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (limit < absl::InfiniteDuration()) timer_.Set(absl::ToInt64Milliseconds(limit));
  }

  void Stop() const {
    const std::uint64_t one = 1;
    while (write(stopped_.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
  }

  // Returns when the program has ended: OK, or why it was made to end.
  absl::Status Await(ProgramPipe& output, ProgramPipe& errors) {
    absl::Status why;
    while (true) {
      pollfd watched[] = {{process_.get(), POLLIN, 0},
                          {why.ok() ? stopped_.get() : -1, POLLIN, 0},
                          {timer_.fd(), POLLIN, 0},
                          {output.read.get(), POLLIN, 0},
                          {errors.read.get(), POLLIN, 0}};
      poll(watched, std::size(watched), -1);
      output.Take();
      errors.Take();
      if (watched[0].revents != 0) return why;
      const bool late = watched[2].revents != 0 && timer_.Take();
      if (watched[1].revents == 0 && !late) continue;
      kill(-pid_, why.ok() ? SIGTERM : SIGKILL);
      if (why.ok()) why = late ? absl::DeadlineExceededError("took too long") : absl::CancelledError("stopped");
      timer_.Set(kTermMs);
    }
  }

 private:
  const pid_t pid_;
  const UniqueFd process_, stopped_;
  const Timer timer_;
};

}  // namespace

absl::StatusOr<ProgramResult> RunProgram(const ProgramRequest& request, const std::stop_token& stop) {
  ProgramPipe output, errors;
  RISEML_RETURN_IF_ERROR(output.Open());
  RISEML_RETURN_IF_ERROR(errors.Open());
  RISEML_ASSIGN_OR_RETURN(const pid_t pid, SpawnProgram(request, output.write.get(), errors.write.get()));
  output.write.Reset();
  errors.write.Reset();
  ProgramWatch watch(pid, request.limit);
  const std::stop_callback on_stop(stop, [&watch] { watch.Stop(); });
  const absl::Status ended = watch.Await(output, errors);
  ProgramResult result;
  result.exit_code = WaitFor(pid);
  RISEML_RETURN_IF_ERROR(ended);
  result.output = std::move(output.text);
  result.errors = std::move(errors.text);
  return result;
}

}  // namespace riseml::agent
