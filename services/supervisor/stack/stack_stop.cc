// Stack: how it stops, in reverse order of need.
#include <signal.h>

#include <algorithm>
#include <vector>

#include "services/common/base/log.h"
#include "services/supervisor/process/process.h"
#include "services/supervisor/stack/stack.h"

namespace riseml::supervisor {
namespace {

constexpr absl::Duration kStopLimit = absl::Seconds(10);
constexpr absl::Duration kDatabaseStopLimit = absl::Minutes(1);

}  // namespace

// Stops one unit and waits for its end.
void Stack::StopNow(SupervisedUnit& unit) {
  unit.Stop();
  WaitReadable(unit.watch_fd(), kStopLimit);
  unit.Send(SIGKILL);
  WaitReadable(unit.watch_fd(), kStopLimit);
  unit.Exited("stopped", clock_.Now());
}

void Stack::StopLeftovers() {
  // Stops units in reverse order of dependency, those of one wave together.
  for (auto& unit : units_) unit->AdoptAny(clock_.Now());
  for (int wave = 0; wave <= kLastWave; ++wave) {
    for (auto& unit : units_)
      if (unit->plan().stop_wave == wave && IsRunning(unit->state())) unit->Stop();
    for (auto& unit : units_)
      if (unit->plan().stop_wave == wave && IsRunning(unit->state())) StopNow(*unit);
  }
}

void Stack::BeginStop(absl::Time now) {
  if (stopping_) return;
  stopping_ = true;
  wave_deadline_ = now + kStopLimit;
  for (Task* task : tasks_)
    if (task->pid > 0) kill(task->pid, SIGTERM);
}

void Stack::AdvanceStop(absl::Time now) {
  if (std::ranges::any_of(tasks_, [](const Task* task) { return task->pid > 0; })) {
    if (now < wave_deadline_) return;
    for (Task* task : tasks_)
      if (task->pid > 0) kill(task->pid, SIGKILL);
    wave_deadline_ = now + kStopLimit;
    return;
  }
  while (stop_wave_ <= kLastWave) {
    std::vector<SupervisedUnit*> open;
    for (auto& unit : units_) {
      if (unit->plan().stop_wave != stop_wave_) continue;
      unit->Stop();
      if (IsRunning(unit->state())) open.push_back(unit.get());
    }
    if (open.empty()) {
      ++stop_wave_;
      wave_deadline_ = now + (stop_wave_ == kLastWave ? kDatabaseStopLimit : kStopLimit);
      continue;
    }
    if (now < wave_deadline_) return;
    for (SupervisedUnit* unit : open) {
      LogWarning("unit_killed", {{"unit", unit->name()}, {"why", "it did not stop in time"}});
      unit->Send(SIGKILL);
    }
    wave_deadline_ = now + kStopLimit;
    return;
  }
}

}  // namespace riseml::supervisor
