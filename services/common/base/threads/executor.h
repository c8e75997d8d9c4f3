// Runs work that must not block its caller.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "services/common/base/mutex.h"

namespace riseml {

// Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Run(std::function<void()> task) = 0;
};

// Runs a task at once, on the caller's thread; for tests.
class InlineExecutor final : public Executor {
 public:
  void Run(std::function<void()> task) override { task(); }
};

// Runs tasks in order of arrival on at most `most_threads` threads. Starts a thread when a task would wait for one, and
// keeps it. Callers must bound the tasks they queue.
class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(std::size_t most_threads) : most_threads_(most_threads) {}
  ~ThreadExecutor() override { Stop(); }

  // Drops the task once stopped.
  void Run(std::function<void()> task) override;

  // Waits for tasks that have begun, drops the others. Idempotent.
  void Stop();

 private:
  void Loop(const std::stop_token& stop);
  void BeginThreadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::size_t most_threads_;
  Mutex mu_;
  std::condition_variable_any ready_;
  std::size_t idle_ ABSL_GUARDED_BY(mu_) = 0;  // threads that wait for a task
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::jthread> threads_ ABSL_GUARDED_BY(mu_);  // last: they use the rest
};

}  // namespace riseml
