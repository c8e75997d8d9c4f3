// Starts, probes and restarts the units of a stack.
#include <signal.h>

#include <memory>
#include <utility>
#include <vector>

#include "services/common/base/log.h"
#include "services/common/base/mutex.h"
#include "services/supervisor/install/postgres.h"
#include "services/supervisor/stack/stack.h"

namespace riseml::supervisor {
namespace {

constexpr absl::Duration kWatchProbeTimeout = absl::Seconds(3);

}  // namespace

// The api answers nothing before the schema is up to date.
bool Stack::MayProbe(const SupervisedUnit& unit) const { return unit.name() != "api" || migrate_.done; }

void Stack::AdvanceUnit(SupervisedUnit& unit, absl::Time now) {
  if (!IsRunning(unit.state())) {
    if (now < unit.next_start()) return;
    if (unit.name() == kDatabase && unit.exits() > 0) {
      if (absl::Status status = RemoveStaleLocks(plan_.layout, plan_.state); !status.ok())
        LogWarning("stale_locks_kept", {{"error", status.message()}});
    }
    if (absl::Status status = sockets_.Open(unit.plan()); !status.ok()) {
      LogError("unit_not_started", {{"unit", unit.name()}, {"error", status.message()}});
      unit.NotStarted(now);
      return;
    }
    if (absl::Status status = unit.Start(now, sockets_.all()); !status.ok())
      LogError("unit_not_started", {{"unit", unit.name()}, {"error", status.message()}});
  } else if (!unit.probing() && now >= unit.next_probe() && MayProbe(unit)) {
    StartProbe(unit, now);
  }
}

void Stack::StartProbe(SupervisedUnit& unit, absl::Time now) {
  if (unit.name() == kDatabase) {
    unit.ProbeEnded(ReadyPostgresPid(plan_.layout) == unit.pid(), now);
    return;
  }
  unit.ProbeStarted();
  // One round asks every listener; the last answer ends it.
  struct Round {
    Mutex mu;
    int open ABSL_GUARDED_BY(mu) = 0;
    absl::Status status ABSL_GUARDED_BY(mu);
  };
  auto round = std::make_shared<Round>();
  std::vector<const Endpoint*> asked;
  for (const Endpoint& endpoint : unit.plan().endpoints)
    if (endpoint.role != ListenerRole::kMetrics) asked.push_back(&endpoint);
  {
    MutexLock lock(round->mu);
    round->open = static_cast<int>(asked.size());
  }
  for (const Endpoint* endpoint : asked) {
    const auto answered = [round, answers = answers_, name = unit.name(),
                           generation = unit.generation()](absl::Status status) {
      absl::Status result;
      {
        MutexLock lock(round->mu);
        if (round->status.ok()) round->status = std::move(status);
        if (--round->open > 0) return;
        result = round->status;
      }
      answers->Put({name, generation, std::move(result)});
    };
    prober_->Ask(endpoint->address, endpoint->role, kWatchProbeTimeout, answered);
  }
}

void Stack::TakeAnswers(absl::Time now) {
  for (const ProbeAnswers::Answer& answer : answers_->TakeAll()) {
    SupervisedUnit* unit = Find(answer.unit);
    if (unit == nullptr || unit->generation() != answer.generation) continue;
    const bool was_healthy = unit->state() == UnitState::kHealthy;
    unit->ProbeEnded(answer.status.ok(), now);
    if (was_healthy && !answer.status.ok())
      LogWarning("unit_unanswered", {{"unit", unit->name()}, {"error", answer.status.message()}});
    if (unit->IsDeaf() && !stopping_) KillDeaf(*unit, answer.status);
  }
}

// A unit that has left several probes unanswered is started anew.
void Stack::KillDeaf(SupervisedUnit& unit, const absl::Status& why) {
  LogError("unit_killed", {{"unit", unit.name()}, {"pid", unit.pid()}, {"why", why.message()}});
  unit.Send(SIGKILL);  // its end is handled like any other, and the unit is restarted
}

}  // namespace riseml::supervisor
