// Measures the outputs of ended attempts, beside the work that starts and stops others. The size is kept in the
// attempt's directory, so that it is measured once.
#pragma once

#include <functional>
#include <set>
#include <stop_token>

#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/launch/launcher.h"
#include "services/common/base/mutex.h"
#include "services/common/base/threads/fair_executor.h"

namespace riseml::agent {

// Thread-safe. Users take turns: a large output holds up the ends of its owner's attempts only.
class OutputMeter {
 public:
  explicit OutputMeter(const Launcher& launcher);  // outlives this
  ~OutputMeter() { Stop(); }

  // True when an attempt whose journal says that it has ended needs no more measuring.
  bool IsDone(const AttemptId& id, const AttemptDir& dir, const JournalContent& journal) const;
  // Starts to measure; calls `done` afterwards, when IsDone is true. No effect while this attempt is being measured.
  void Begin(const AttemptId& id, const AttemptDir& dir, std::function<void()> done);
  // Adds what was found to the status of an ended attempt.
  static void Show(const AttemptDir& dir, internal::v1::AttemptStatus* status);
  // Forgets an attempt that is removed.
  void Forget(const AttemptId& id);
  // Breaks off measurements; they are repeated after the next start. Idempotent.
  void Stop();

 private:
  void Measure(const AttemptId& id, const AttemptDir& dir, const internal::v1::JobTemplate& job);

  const Launcher& launcher_;
  std::stop_source stop_;
  mutable Mutex mu_;
  std::set<AttemptId> under_way_ ABSL_GUARDED_BY(mu_);
  std::set<AttemptId> given_up_ ABSL_GUARDED_BY(mu_);  // attempts whose size could not be measured or kept
  FairExecutor measurements_;                          // last: it uses the rest
};

}  // namespace riseml::agent
