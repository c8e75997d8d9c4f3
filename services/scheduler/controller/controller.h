// Brings what runs into line with what api wants, one small step after the other.
//
// Level-triggered: an event only says which job to look at. Each look compares what api has recorded with what the
// nodes say and takes the step that follows (step.h). All memory is a copy of what api and the nodes know: a new
// process, or this one after it lost the leadership, starts with an empty memory and goes on where the old one was.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/base/executor.h"
#include "services/scheduler/cluster/cluster.h"
#include "services/scheduler/controller/api.h"
#include "services/scheduler/controller/environments.h"
#include "services/scheduler/controller/mailbox.h"
#include "services/scheduler/controller/metrics.h"
#include "services/scheduler/controller/state.h"
#include "services/scheduler/engine/plan.h"

namespace riseml::scheduler {

struct ControllerOptions {
  std::string holder;
  absl::Duration lease = absl::Seconds(15);
  absl::Duration node_silence_limit = absl::Seconds(15);
  // How long a job that no node can ever hold waits for another node before it fails.
  absl::Duration impossible_after = absl::Minutes(10);
};

struct NodeCallResult {
  std::int64_t generation;
  std::string job_uid;
  int attempt;
  Call call;
  absl::Status status;
};

// Lives on one thread; only what is in the mailboxes comes from others. Everything referred to outlives this and the
// executor's work.
class Controller {
 public:
  struct Ports {
    Api& api;
    Cluster& cluster;
    Environments& environments;
    Executor& node_executor;
    Executor& builder_executor;
    Mailbox<NodeCallResult>& node_calls;
    Mailbox<EnvironmentAnswer>& answers;
    const Clock& clock;
    SchedulerMetrics& metrics;
  };
  Controller(ControllerOptions options, Ports ports);

  // Does everything that can be done now. Returns when to call again if nothing happens before.
  absl::Time Pass();

 private:
  // leadership.cc
  bool Lead();
  void Reset(std::int64_t epoch);
  bool LostLeadership(const absl::Status& status);

  // controller.cc: attempts
  void TakeEvents();
  void TakeNodeCalls();
  void SyncDirty();
  void Sync(const std::string& uid);
  void SyncAttempt(const std::string& uid, Job& job, const internal::v1::LiveAttempt& live);
  void SyncStrayAttempts(const std::string& uid, Job& job);
  void SyncWaiting(const std::string& uid, Job& job);
  void SyncBuild(const std::string& uid, Job& job);
  void ShareFailures();
  bool IsGangCommitted(const Job& job) const;

  // actions.cc: calls to nodes and reports to api
  void Start(const std::string& uid, Job& job, const internal::v1::LiveAttempt& live);
  void CallNode(const std::string& uid, Job& job, int attempt, Call call, std::function<absl::Status(Cluster&)> body);
  bool MayCall(const std::string& uid, Job& job, int attempt, Call call);
  void Observe(Job& job, internal::v1::Observation observation);
  bool Report();
  void Accepted(const internal::v1::Observation& observation);
  bool ReportNodes();

  // placement.cc: who runs where
  bool NodesAreKnown();
  bool Place();
  bool CommitUnits(const engine::Snapshot& snapshot, const engine::Plan& plan);
  void Prepare(const std::vector<const engine::Binding*>& unit, const engine::Snapshot& snapshot,
               std::map<std::string, std::string>& claimed, internal::v1::CommitPlanRequest* request);
  void PlanAgain();
  bool Commit(const internal::v1::CommitPlanRequest& request);
  void TakeResults(const internal::v1::PlacementGroup& group, const internal::v1::GroupResult& results);
  void PlaceLater(const std::string& uid, Job& job);
  void NoteWaits(const engine::Snapshot& snapshot, const engine::Plan& plan);
  bool GiveUp(Job& job, const engine::Verdict& verdict);
  bool CommitWaits();
  // Name of a job with a live attempt that makes or uses the environment, other than `uid`; empty when there is none.
  std::string UserOf(const std::string& key, const std::string& uid);
  void Wait(const std::string& uid, const std::string& reason, const std::string& message);
  void WaitForEnvironment(const std::string& uid, Job& job, const std::string& building_job);
  void WaitForBuilder(const std::string& uid, Job& job, const absl::Status& status);
  void WaitForRetry(const std::string& uid, const Job& job);

  // eviction.cc: who gives back what it holds
  void ReleaseGang(const std::string& uid, Job& job);
  bool CommitEvictions();

  void WakeAt(absl::Time time) { next_ = std::min(next_, time); }
  absl::Time Now() const { return ports_.clock.Now(); }

  const ControllerOptions options_;
  const Ports ports_;

  // Leadership; 0: none.
  std::int64_t epoch_ = 0;
  absl::Time renew_at_ = absl::InfinitePast();
  absl::Time lease_until_ = absl::InfinitePast();
  int failed_acquisitions_ = 0;

  // Everything below is made anew with each leadership.
  std::int64_t generation_ = 0;
  absl::Time led_since_ = absl::InfinitePast();
  State state_;
  EnvironmentCache cache_;
  std::int64_t builds_seen_ = 0;
  std::vector<internal::v1::Observation> observations_;
  int failed_reports_ = 0;                                            // in a row
  std::map<std::string, std::pair<std::string, std::string>> waits_;  // to be committed: reason and message by job
  std::vector<internal::v1::Eviction> evictions_;                     // to be committed
  std::vector<engine::Node> engine_nodes_;
  bool plan_needed_ = false;
  int failed_commits_ = 0;
  absl::Time plan_not_before_ = absl::InfinitePast();
  std::string reported_nodes_;  // as last reported, without times
  absl::Time report_nodes_at_ = absl::InfinitePast();
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace riseml::scheduler
