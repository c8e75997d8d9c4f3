// Reconciles the attempts of a node: brings each, step by step, from the request to start it to the point where
// everything is stored and forgotten. All its state is in the attempts' directories, so that it may be killed at any
// moment and then continues. It starts each attempt at most once, and ends an attempt only when asked to.
#pragma once

#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/agent/attempt/attempt_table.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/attempt/trash.h"
#include "services/agent/launch/launcher.h"
#include "services/agent/node/agent_metrics.h"
#include "services/agent/node/epoch_fence.h"
#include "services/agent/node/holdings.h"
#include "services/agent/node/output_meter.h"
#include "services/agent/node/work_queue.h"
#include "services/agent/process/process_watcher.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/mutex.h"
#include "services/common/base/threads/fair_executor.h"

namespace riseml::agent {

// Thread-safe.
class AttemptReconciler {
 public:
  // Adopts the attempts in `directory`, which is created if absent. References must outlive this.
  static absl::StatusOr<std::unique_ptr<AttemptReconciler>> Start(std::string directory, const Launcher& launcher,
                                                                  const v1::Node& node, AttemptTable& table,
                                                                  AgentMetrics& metrics, const Clock& clock,
                                                                  int workers = 4);
  // Stops reconciling; the attempts continue.
  ~AttemptReconciler();

  // The start is recorded durably when this returns. See NodeAgentService for the errors.
  absl::Status StartAttempt(const internal::v1::StartAttemptRequest& start);
  absl::Status StopAttempt(const AttemptId& id, std::int64_t epoch);
  absl::Status ForgetAttempts(const std::vector<AttemptId>& ids, std::int64_t epoch);
  // Kills an attempt for a reason of the node itself, without a grace period. No effect if the attempt has ended.
  absl::Status EndAttempt(const AttemptId& id, const internal::v1::AttemptEnded& ended);

  AttemptDir DirOf(const AttemptId& id) const { return AttemptDir(directory_ + "/" + Print(id)); }

 private:
  // State of an attempt between two syncs; may be lost without harm.
  struct SyncState {
    bool cleaned = false;
    absl::Time stop_seen = absl::InfiniteFuture();
    absl::Time end_seen = absl::InfiniteFuture();
    absl::Time failed_start_seen = absl::InfiniteFuture();
    absl::Time preparing_since = absl::InfiniteFuture();
    int prepare_failures = 0;
    int ship_failures = 0;
    absl::Time next_ship = absl::InfinitePast();
    pid_t watched_run = 0, watched_ship = 0;
    int forward_tries = 0;
    bool forwarded = false;
    UniqueFd output;                        // keeps the bytes in the job's pipe
    std::stop_source cancel;                // of a preparation
    std::future<absl::Status> preparation;  // valid from its begin until its outcome has been taken
  };

  AttemptReconciler(std::string directory, const Launcher& launcher, const v1::Node& node, AttemptTable& table,
                    AgentMetrics& metrics, const Clock& clock, std::string boot_id, std::int64_t epoch);
  absl::Status Scan();
  absl::Status ForgetAttempt(const AttemptId& id);
  absl::StatusOr<bool> RecordEnd(const AttemptId& id, internal::v1::AttemptEnded ended);
  void Work(std::stop_token stop);
  void LookAgainAtAll(std::stop_token stop);
  absl::StatusOr<bool> MayStillStart(const AttemptId& id, const internal::v1::LaunchRecord& launch);
  void RemoveLeftContainers(const std::stop_token& stop);

  // State of an attempt. An attempt whose processes live has not ended, whatever its journal says.
  struct KnownAttempt {
    JournalContent journal;                         // without an end while `ending` or `measuring`
    std::optional<internal::v1::ProcessId> ending;  // this process lives although the journal has the end
    bool measuring = false;                         // the attempt has ended; its output is not measured yet
  };
  absl::StatusOr<KnownAttempt> Know(const AttemptId& id, const AttemptDir& dir) const;

  // attempt_sync.cc: what each look at an attempt does
  absl::Status Sync(const std::string& key);
  absl::Status SyncEnded(const AttemptId& id, const AttemptDir& dir, const internal::v1::AttemptEnded& ended);
  absl::Status SyncEnding(const AttemptId& id, const internal::v1::ProcessId& process);
  absl::Status SyncAlive(const AttemptId& id, const AttemptDir& dir, pid_t holder);
  absl::Status SyncIdle(const AttemptId& id, const AttemptDir& dir, bool started);
  void ForwardPortOf(const AttemptId& id, const AttemptDir& dir, SyncState& state);
  void HoldOutputOf(SyncState& state, const AttemptDir& dir);
  absl::Status MakeRoom(const AttemptDir& dir);
  absl::Status Launch(const AttemptId& id, const AttemptDir& dir);
  absl::Status PrepareAndStart(const AttemptId& id, const AttemptDir& dir,
                               const internal::v1::StartAttemptRequest& start);
  void BeginPreparation(const AttemptId& id, const AttemptDir& dir, const internal::v1::StartAttemptRequest& start);
  absl::Status OnPrepareFailed(const AttemptId& id, const AttemptDir& dir, const absl::Status& why);
  absl::Status EnsureShip(const AttemptId& id, const AttemptDir& dir);
  absl::Status End(const AttemptId& id, const AttemptDir& dir, internal::v1::AttemptEnded ended);
  absl::Status Remove(const AttemptId& id, const AttemptDir& dir);
  absl::Status Publish(const AttemptId& id, const AttemptDir& dir);
  void Show(const AttemptId& id, const AttemptDir& dir, const JournalContent& journal);

  void CancelPreparation(const AttemptId& id);
  std::optional<std::string> WhyDiskRefuses() const;
  SyncState& SyncStateOf(const AttemptId& id);

  const std::string directory_;
  std::stop_source stop_;
  const Launcher& launcher_;
  AttemptTable& table_;
  AgentMetrics& metrics_;
  const Clock& clock_;
  const std::string boot_id_;
  EpochFence fence_;
  Holdings holdings_;
  Trash trash_;
  WorkQueue queue_;
  Mutex mu_;
  std::map<AttemptId, std::unique_ptr<SyncState>> sync_states_
      ABSL_GUARDED_BY(mu_);  // each used by the worker of its attempt
  std::unique_ptr<ProcessWatcher> watcher_;
  FairExecutor preparations_;  // one queue per user, like the others
  FairExecutor housekeeping_;
  OutputMeter meter_;
  std::vector<std::jthread> threads_;
};

}  // namespace riseml::agent
