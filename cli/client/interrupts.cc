#include "cli/client/interrupts.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/string_view.h"
#include "cli/client/errors.h"
#include "services/common/base/status.h"

namespace riseml::cli {

absl::StatusOr<std::unique_ptr<Interrupts>> Interrupts::Create() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!signals.valid() || !wake.valid()) return ErrnoError(errno, "watch for signals");
  return std::unique_ptr<Interrupts>(new Interrupts(std::move(signals), std::move(wake)));
}

Interrupts::Interrupts(UniqueFd signals, UniqueFd wake)
    : signals_(std::move(signals)),
      wake_(std::move(wake)),
      thread_([this](std::stop_token stop) { Run(std::move(stop)); }) {}

Interrupts::~Interrupts() {
  thread_.request_stop();
  eventfd_write(wake_.get(), 1);
}

void Interrupts::Listen(std::function<void()> listener) {
  MutexLock lock(mu_);
  listener_ = std::move(listener);
}

void Interrupts::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    pollfd fds[] = {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                    {.fd = wake_.get(), .events = POLLIN, .revents = 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
    signalfd_siginfo info;
    if (read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
    MutexLock lock(mu_);
    if (listener_) {
      listener_();
      continue;
    }
    (void)WriteAll(STDERR_FILENO, "\nAborting...\n");
    _exit(kExitInterrupted);
  }
}

}  // namespace riseml::cli
