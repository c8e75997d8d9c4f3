// A queue of keys to process: each key is queued at most once, is processed by one worker at a time, and may be added
// again.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Thread-safe. Bounded by the number of keys.
class WorkQueue {
 public:
  explicit WorkQueue(const Clock& clock) : clock_(clock) {}  // `clock` outlives this

  // Queues the key; once more after Done if a worker has it.
  void Add(const std::string& key);
  // Queues the key after `delay`; the earliest of several such times counts.
  void AddAfter(const std::string& key, absl::Duration delay);
  // Waits for a key; nullopt once stop is requested. Done must follow.
  std::optional<std::string> Get(std::stop_token stop);
  void Done(const std::string& key);

 private:
  void AddLocked(const std::string& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Duration AddDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Clock& clock_;
  Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<std::string> order_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> queued_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> working_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> again_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, absl::Time> later_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::agent
