// Runs tasks of several owners on a few threads, so that the tasks of one owner do not hold up the others.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "services/common/base/mutex.h"

namespace riseml {

struct FairExecutorOptions {
  int threads = 4;
  // If less than `threads`, one owner never has all threads: an owner without a thread waits for at most one task.
  int most_per_owner = 3;
  bool background = false;  // the threads give way to everything else on the machine
};

// Thread-safe. Owners take turns; the tasks of one begin in order of arrival. Callers must bound the tasks they queue.
class FairExecutor {
 public:
  explicit FairExecutor(const FairExecutorOptions& options);
  ~FairExecutor() { Stop(); }

  // Drops the task once stopped.
  void Run(const std::string& owner, std::function<void()> task);

  // Waits for tasks that have begun, drops the others. Idempotent.
  void Stop();

 private:
  struct Owner {
    std::deque<std::function<void()>> tasks;
    int running = 0;
  };

  void Loop(const std::stop_token& stop);
  // Returns the next owner that may have a thread; null: none.
  const std::string* NextLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::function<void()> TakeLocked(const std::string& owner) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const FairExecutorOptions options_;
  Mutex mu_;
  std::condition_variable_any ready_;
  std::map<std::string, Owner> owners_ ABSL_GUARDED_BY(mu_);  // those with tasks, waiting or running
  std::list<std::string> turns_ ABSL_GUARDED_BY(mu_);         // those with waiting tasks, the next one first
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace riseml
