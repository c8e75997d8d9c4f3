#include "services/agent/process/timer.h"

#include <sys/timerfd.h>
#include <unistd.h>

namespace riseml::agent {

Timer::Timer() : fd_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {}

void Timer::Set(std::int64_t milliseconds) const {
  itimerspec when{};
  when.it_value.tv_sec = milliseconds / 1000;
  when.it_value.tv_nsec = milliseconds % 1000 * 1'000'000;
  timerfd_settime(fd_.get(), 0, &when, nullptr);
}

bool Timer::Take() const {
  std::uint64_t count = 0;
  return read(fd_.get(), &count, sizeof count) == sizeof count;
}

}  // namespace riseml::agent
