// Holds the controller's view: jobs as api reports them, attempts and nodes as the cluster reports them, joined by
// job.
//
// Decides nothing and writes nothing; api and the cluster can supply everything in it again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "riseml/internal/v1/scheduling.pb.h"
#include "services/scheduler/cluster/cluster.h"
#include "services/scheduler/controller/api/api.h"
#include "services/scheduler/controller/step.h"
#include "services/scheduler/engine/types.h"

namespace riseml::scheduler {

enum class Call { kStart, kStop, kForget };
// State of a call to a node about an attempt, so that only one is made at a time and not too often.
struct CallState {
  bool in_flight = false;
  int tries = 0;
  absl::Time not_before = absl::InfinitePast();
};

struct Job {
  internal::v1::Work work;
  bool listed = false;  // by api, in the present list

  // Committed by this process and not yet seen in `work`.
  std::optional<internal::v1::LiveAttempt> committed;
  // Attempts by number, as their nodes have them.
  std::map<int, AttemptOnNode> on_nodes;

  // Facts that api has accepted and `work` may not show yet.
  int started_reported = 0;  // newest attempt
  int end_reported = 0;      // newest attempt
  bool settled = false;      // about the job itself
  absl::Time confirm_by = absl::InfiniteFuture();
  bool observed = false;       // an observation waits to be sent
  std::set<int> outputs_told;  // attempts whose output api has been told

  // Attempt that can never start, and the error that says why.
  std::optional<std::pair<int, absl::Status>> start_failed;
  std::map<std::pair<Call, int>, CallState> calls;  // by call and attempt

  bool candidate = false;                      // may be placed
  absl::Time retry_at = absl::InfinitePast();  // not a candidate before this time
  int refusals = 0;                            // in a row
  std::string blocked_by;                      // short name of the job that makes its environment, e.g. "14.build"
  std::string environment_key;                 // of its live attempt, or of the environment a build would make
  std::string wait_reason, wait_message;       // as api has them
  engine::VerdictPtr verdict;                  // why it waits, as the engine said last; or nullptr
  absl::Time hopeless_since = absl::InfiniteFuture();     // since when no node can ever hold it
  absl::Time left_behind_since = absl::InfiniteFuture();  // since when it waits while its gang holds resources
  bool left_behind = false;                               // it has waited like this for too long
  absl::Time wait_committed = absl::InfinitePast();
  absl::Time timer = absl::InfiniteFuture();  // when it is looked at again anyway

  bool is_build() const { return work.role() == "build"; }
  bool is_terminal() const;
  // The attempt that holds resources; nullptr when there is none.
  const internal::v1::LiveAttempt* Live() const;
  // Attempts that nodes run besides `Live`.
  std::vector<const AttemptOnNode*> Strays() const;
  Recorded RecordedState(const internal::v1::LiveAttempt& live) const;
  // True when `work` shows what was reported.
  bool IsConfirmed() const;
};

// Lives on one thread.
class JobTable {
 public:
  // Each marks the jobs it changes as dirty.
  void Apply(const WorkBatch& batch);
  void Apply(const ClusterChanges& changes);
  void Commit(const std::string& job_uid, internal::v1::LiveAttempt attempt);

  // nullptr when unknown.
  Job* Find(const std::string& job_uid);
  // Updates the set of jobs with live attempts for one job.
  void NoteLive(const std::string& job_uid);

  // Forgets a job that has ended and of which no node knows anything.
  void DropIfDone(const std::string& job_uid);

  OnNode View(const Job& job, const internal::v1::LiveAttempt& live) const;
  // Members of a gang; empty for an empty name.
  const std::set<std::string>& Gang(const std::string& gang) const;

  void MarkDirty(const std::string& job_uid) { dirty_.insert(job_uid); }
  std::set<std::string> TakeDirty() { return std::exchange(dirty_, {}); }
  bool has_dirty() const { return !dirty_.empty(); }

  // Marks the jobs with a live attempt on the node.
  void MarkJobsOn(const std::string& node);

  // Marks the job dirty at `time` at the latest.
  void Later(const std::string& job_uid, absl::Time time);
  // Keeps the job from being placed until then.
  void Suspend(const std::string& job_uid, absl::Time until);
  // Suspends the job after a refusal by api or by a node, longer each time.
  void PlaceLater(const std::string& job_uid, absl::Time now);
  void FireTimers(absl::Time now);
  absl::Time NextTimer() const;

  const std::unordered_map<std::string, Job>& jobs() const { return jobs_; }
  // Jobs with a live attempt, as of their last NoteLive.
  const std::set<std::string>& live() const { return live_; }
  const std::map<std::string, NodeState>& nodes() const { return nodes_; }
  bool work_synced() const { return work_synced_; }
  std::int64_t cluster_version() const { return cluster_version_; }
  // A build that failed by the exit code of one of its steps.
  struct FailedBuild {
    std::string job, environment_key, message;
  };
  std::vector<FailedBuild> TakeFailedBuilds() { return std::exchange(failed_builds_, {}); }
  // Number of builds that were seen to end.
  std::int64_t builds_ended() const { return builds_ended_; }

 private:
  void Put(const internal::v1::Work& work);
  void NoteFailedBuild(const Job& job);
  void Ended(Job& job);

  std::unordered_map<std::string, Job> jobs_;
  std::unordered_map<std::string, std::set<std::string>> gangs_;
  std::set<std::string> no_gang_;  // stays empty
  std::map<std::string, NodeState> nodes_;
  std::set<std::string> dirty_;
  std::set<std::string> live_;
  std::set<std::pair<absl::Time, std::string>> timers_;
  bool work_synced_ = false;
  bool listing_ = false;
  std::int64_t cluster_version_ = 0;
  std::int64_t builds_ended_ = 0;
  std::vector<FailedBuild> failed_builds_;
};

}  // namespace riseml::scheduler
