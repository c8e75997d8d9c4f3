// In-memory node for tests: keeps attempts by the rules of NodeAgentService and changes them when the test says so.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "services/common/base/mutex.h"
#include "services/scheduler/cluster/cluster.h"

namespace riseml::scheduler {

// Thread-safe. `changed` is called, without locks, after each change of an attempt.
class FakeNode {
 public:
  using Listener = std::function<void(const internal::v1::AttemptStatus&)>;
  void SetListener(Listener changed);

  // RPCs of the node.
  absl::Status Start(const internal::v1::StartAttemptRequest& request);
  absl::Status Stop(const AttemptId& key, std::int64_t epoch);
  absl::Status Forget(const std::vector<AttemptId>& keys, std::int64_t epoch);
  std::vector<internal::v1::AttemptStatus> List() const;

  // Events on the node.
  void Run(const AttemptId& key);
  void Exit(const AttemptId& key, int exit_code);
  // Sets the measured size of the attempt's output; call it before the attempt exits.
  void Leave(const AttemptId& key, std::int64_t bytes);
  // Simulates a change from outside to what runs.
  void Drift(const AttemptId& key, const std::string& drift);
  // Makes the node reject starts from now on, as if others held its resources; or accept them again.
  void SetFull(bool full);
  // Loses everything, as if its disk had been replaced.
  void Wipe();

  // Observers for tests.
  int starts(const AttemptId& key) const;  // number of starts that had an effect
  int total_starts() const;
  int stops(const AttemptId& key) const;  // number of stops that were asked for
  internal::v1::StartAttemptRequest request(const AttemptId& key) const;

 private:
  absl::Status Pass(std::int64_t epoch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Change(const AttemptId& key, const std::function<void(internal::v1::AttemptStatus&)>& change);

  mutable Mutex mu_;
  Listener changed_ ABSL_GUARDED_BY(mu_);
  std::int64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;  // the highest that has called
  bool full_ ABSL_GUARDED_BY(mu_) = false;
  std::map<AttemptId, internal::v1::AttemptStatus> attempts_ ABSL_GUARDED_BY(mu_);
  std::map<AttemptId, int> starts_ ABSL_GUARDED_BY(mu_);
  std::map<AttemptId, int> stops_ ABSL_GUARDED_BY(mu_);
  std::map<AttemptId, internal::v1::StartAttemptRequest> requests_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::scheduler
