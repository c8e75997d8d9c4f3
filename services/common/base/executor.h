// Runs work that must not block its caller.
#pragma once

#include <condition_variable>
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

// Runs tasks in order of arrival on a fixed number of threads. Callers bound what they queue.
class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(int threads);
  ~ThreadExecutor() override { Stop(); }

  // Dropped once stopped.
  void Run(std::function<void()> task) override;

  // Waits for tasks that have begun, drops the others. Idempotent.
  void Stop();

 private:
  void Loop(const std::stop_token& stop);

  Mutex mu_;
  std::condition_variable_any ready_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace riseml
