// Types that the parts of the controller share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/base/status.h"
#include "services/common/base/threads/backoff.h"
#include "services/common/base/threads/executor.h"
#include "services/scheduler/cluster/cluster.h"
#include "services/scheduler/controller/api/api.h"
#include "services/scheduler/controller/environments.h"
#include "services/scheduler/controller/job_table.h"
#include "services/scheduler/controller/mailbox.h"
#include "services/scheduler/controller/metrics.h"

namespace riseml::scheduler {

struct ControllerOptions {
  std::string holder;
  absl::Duration lease = absl::Seconds(15);
  // A node that is silent for this long takes no new jobs.
  absl::Duration node_silence_limit = absl::Seconds(15);
  // Attempts on a node that is silent for this long, or that has vanished, are lost.
  absl::Duration node_lost_after = absl::Minutes(15);
  // Time that a job that no node can ever hold waits for another node before it fails.
  absl::Duration impossible_after = absl::Minutes(10);
};

struct NodeCallResult {
  std::int64_t epoch;
  std::string job_uid;
  int attempt;
  Call call;
  absl::Status status;
};

// All outlive the controller and what the executors run for it.
struct Ports {
  Api& api;
  Cluster& cluster;
  Environments& environments;
  Executor& node_executor;
  Executor& builder_executor;
  Executor& image_executor;  // starts of jobs whose image has to be made first, which may take long
  Mailbox<NodeCallResult>& node_calls;
  Mailbox<EnvironmentAnswer>& answers;
  const Clock& clock;
  SchedulerMetrics& metrics;
};

// The earliest time at which something is to be done.
class Alarm {
 public:
  void At(absl::Time time) { next_ = std::min(next_, time); }
  void Reset() { next_ = absl::InfiniteFuture(); }
  absl::Time next() const { return next_; }

 private:
  absl::Time next_ = absl::InfiniteFuture();
};

// State of one leadership, except for the cache. The parts live on one thread.
struct Shared {
  const ControllerOptions& options;
  const Ports& ports;
  const std::int64_t epoch;
  const absl::Time since;  // start of the leadership
  Alarm& alarm;
  JobTable& jobs;
  EnvironmentCache& environments;

  absl::Time Now() const { return ports.clock.Now(); }
};

// True when the error of a write says that somebody else leads.
inline bool SaysOthersLead(const absl::Status& status) { return HasReason(status, Reason::kNotLeader); }

}  // namespace riseml::scheduler
