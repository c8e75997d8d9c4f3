#include "services/scheduler/controller/controller.h"

#include <string>
#include <utility>

#include "services/scheduler/controller/node_calls.h"
#include "services/scheduler/controller/nodes.h"
#include "services/scheduler/controller/observations.h"
#include "services/scheduler/controller/placer.h"
#include "services/scheduler/controller/reconciler.h"
#include "services/scheduler/controller/waits.h"

namespace riseml::scheduler {

// One term of leadership, with everything known and under way in it.
class Controller::Term {
 public:
  Term(const ControllerOptions& options, const Ports& ports, std::int64_t epoch, Alarm& alarm, EnvironmentCache& cache)
      : shared_{options, ports, epoch, ports.clock.Now(), alarm, jobs_, cache} {}

  std::int64_t epoch() const { return shared_.epoch; }

  // False when the leadership is lost.
  bool Pass() {
    TakeEvents();
    if (!jobs_.work_synced()) return true;
    calls_.TakeResults();
    jobs_.FireTimers(shared_.Now());
    SyncDirty();
    if (!observations_.SendFacts() || !placer_.Place()) return false;
    SyncDirty();  // starts what was placed
    if (!observations_.SendFacts() || !observations_.SendVerdicts()) return false;
    if (!waits_.Send() || !nodes_.Report()) return false;
    if (jobs_.has_dirty()) shared_.alarm.At(shared_.Now());
    shared_.alarm.At(jobs_.NextTimer());
    return true;
  }

 private:
  void TakeEvents() {
    while (const auto batch = shared_.ports.api.TakeWork()) jobs_.Apply(*batch);
    jobs_.Apply(shared_.ports.cluster.Read(jobs_.cluster_version()));
    for (const std::string& uid : shared_.environments.TakeAnswered()) jobs_.MarkDirty(uid);
    nodes_.Update();
    placer_.FeedNodes();
    reconciler_.ShareFailures();
    if (builds_seen_ == jobs_.builds_ended()) return;
    builds_seen_ = jobs_.builds_ended();
    shared_.environments.Clear();
    for (const auto& [uid, job] : jobs_.jobs()) {
      if (job.blocked_by.empty()) continue;
      jobs_.Find(uid)->retry_at = shared_.Now();
      jobs_.MarkDirty(uid);
    }
  }

  void SyncDirty() {
    for (const std::string& uid : jobs_.TakeDirty()) {
      reconciler_.Sync(uid);
      placer_.Feed(uid);
    }
  }

  JobTable jobs_;
  const Shared shared_;
  std::int64_t builds_seen_ = 0;
  Nodes nodes_{shared_};
  NodeCalls calls_{shared_};
  Observations observations_{shared_};
  Waits waits_{shared_, observations_};
  Reconciler reconciler_{shared_, {nodes_, calls_, observations_, waits_}};
  Placer placer_{shared_, {nodes_, observations_, waits_}};
};

Controller::Controller(ControllerOptions options, Ports ports)
    : options_(std::move(options)),
      ports_(ports),
      leadership_(options_, ports_, alarm_),
      cache_({ports.environments, ports.builder_executor, ports.answers, ports.clock}) {}

Controller::~Controller() = default;

absl::Time Controller::Pass() {
  alarm_.Reset();
  const bool leads = leadership_.Hold();
  const std::int64_t epoch = leadership_.epoch();
  if (epoch != (term_ == nullptr ? 0 : term_->epoch())) {
    term_ = nullptr;
    cache_.Clear();
    if (epoch != 0) {
      ports_.api.RestartWatch();
      term_ = std::make_unique<Term>(options_, ports_, epoch, alarm_, cache_);
    }
  }
  if (!leads || term_->Pass()) return alarm_.next();
  term_ = nullptr;
  leadership_.Lose();
  return alarm_.next();
}

}  // namespace riseml::scheduler
