#include "services/agent/process/spawn.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/priority.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

enum class SpawnStep : int { kStarted, kFailed };
struct SpawnMessage {
  SpawnStep step;
  int value;  // pid or errno
};

// Bytes of the stack of a child that runs in our memory until it executes a program.
constexpr std::size_t kChildStack = 32 << 10;

// ThreadSanitizer treats every clone as a fork: it would release its locks twice in memory that two processes share.
#if _GLIBCXX_TSAN
constexpr int kCloneFlags = SIGCHLD;
#else
constexpr int kCloneFlags = CLONE_VM | CLONE_VFORK | SIGCHLD;
#endif

// Starts `body(argument)` as a child in our memory, on a separate stack, and waits until it has executed a program or
// ended. Unlike fork, this copies no page tables: those of node are large, and each of its jobs starts four processes.
pid_t StartInOurMemory(int (*body)(void*), void* argument, char* stack, int namespaces = 0) {
  return clone(body, stack + kChildStack, kCloneFlags | namespaces, argument);
}

bool WriteOnce(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  const auto size = static_cast<ssize_t>(std::strlen(text));
  const bool written = fd >= 0 && write(fd, text, size) == size;
  close(fd);
  return written;
}

bool BringLoopbackUp() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  close(fd);
  return up;
}

// Runs in the child, where only async-signal-safe functions may be called.
struct SpawnChild {
  const SpawnRequest& request;
  std::vector<char*> argv;
  std::vector<char*> environment;
  std::vector<int> moved;  // scratch space, one entry per descriptor
  int pipe;
  char* stacks;  // two, one after the other
  std::string uid_map, gid_map;

  void Report(SpawnStep step, int value) const {
    const SpawnMessage message{step, value};
    while (write(pipe, &message, sizeof message) < 0 && errno == EINTR) {
    }
  }
  [[noreturn]] void Fail() const {
    Report(SpawnStep::kFailed, errno);
    _exit(127);
  }

  // A process between us and the program, so that the program is not our child.
  static int RunMiddle(void* self) {
    SpawnChild& child = *static_cast<SpawnChild*>(self);
    const int pipe = child.pipe;  // the program moves its own, in this memory
    const int namespaces = child.request.own_network ? CLONE_NEWUSER | CLONE_NEWNET : 0;
    const pid_t pid = StartInOurMemory(&RunProgram, self, child.stacks + kChildStack, namespaces);
    child.pipe = pipe;
    if (pid < 0) child.Fail();
    child.Report(SpawnStep::kStarted, pid);
    _exit(0);
  }
  static int RunProgram(void* self) { static_cast<SpawnChild*>(self)->Execute(); }

  // Moves all descriptors above the target numbers first, so that they do not overwrite each other.
  void ArrangeDescriptors() {
    int highest = 2;
    for (const auto& [from, to] : request.descriptors) highest = to > highest ? to : highest;
    pipe = fcntl(pipe, F_DUPFD_CLOEXEC, highest + 1);
    for (std::size_t i = 0; i < request.descriptors.size(); ++i)
      if ((moved[i] = fcntl(request.descriptors[i].first, F_DUPFD_CLOEXEC, highest + 1)) < 0) Fail();
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) Fail();
    for (int fd = 0; fd <= 2; ++fd)
      if (dup2(null, fd) < 0) Fail();
    for (std::size_t i = 0; i < request.descriptors.size(); ++i)
      if (dup2(moved[i], request.descriptors[i].second) < 0) Fail();
    // Closes the unwanted descriptors between the wanted ones too.
    for (int fd = 3; fd <= highest; ++fd) {
      bool wanted = false;
      for (const auto& [from, to] : request.descriptors) wanted = wanted || to == fd;
      if (!wanted) close(fd);
    }
    close_range(highest + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  }

  bool EnterOwnNetwork() const {
    return WriteOnce("/proc/self/setgroups", "deny") && WriteOnce("/proc/self/uid_map", uid_map.c_str()) &&
           WriteOnce("/proc/self/gid_map", gid_map.c_str()) && BringLoopbackUp();
  }

  [[noreturn]] void Execute() {
    setsid();
    GiveWayToServices();
    LetSessionGiveWay(getpid());  // may be refused; the session then keeps the weight of a service until it ends
    for (int signal = 1; signal < NSIG; ++signal) {
      struct sigaction action {};
      action.sa_handler = SIG_DFL;
      sigaction(signal, &action, nullptr);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    ArrangeDescriptors();
    if (request.own_network && !EnterOwnNetwork()) Fail();
    if (chdir(request.directory.c_str()) != 0) Fail();
    umask(077);
    execve(argv[0], argv.data(), environment.data());
    Fail();
  }
};

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

absl::StatusOr<pid_t> SpawnDetached(const SpawnRequest& request) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError(errno, "make a pipe");
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  alignas(16) char stacks[2 * kChildStack];
  SpawnChild child{request,
                   Pointers(request.argv),
                   Pointers(request.environment),
                   std::vector<int>(request.descriptors.size()),
                   writing.get(),
                   stacks,
                   absl::StrCat(geteuid(), " ", geteuid(), " 1"),
                   absl::StrCat(getegid(), " ", getegid(), " 1")};
  // Blocks all signals, so that none of our handlers runs in a child.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t middle = StartInOurMemory(&SpawnChild::RunMiddle, &child, child.stacks);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (middle < 0) return ErrnoError(error, "start a process");
  writing.Reset();
  while (waitpid(middle, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_t started = 0;
  SpawnMessage message{};
  while (true) {
    const ssize_t n = read(reading.get(), &message, sizeof message);
    if (n < 0 && errno == EINTR) continue;
    if (n != sizeof message) break;  // closed by the exec
    if (message.step == SpawnStep::kFailed) return ErrnoError(message.value, absl::StrCat("start ", request.argv[0]));
    started = message.value;
  }
  if (started == 0) return absl::InternalError(absl::StrCat("start ", request.argv[0], ": killed while starting"));
  return started;
}

}  // namespace riseml::agent
