// Where calls to nodes run, so that a node that does not answer holds up nobody else.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "services/common/base/mutex.h"

namespace riseml::scheduler {

// Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Run(std::function<void()> work) = 0;
};

// Runs work at once, on the caller's thread; for tests.
class InlineExecutor final : public Executor {
 public:
  void Run(std::function<void()> work) override { work(); }
};

// Runs work on a fixed number of threads. Callers bound what they queue. Work that has not begun at Stop is dropped.
class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(int threads);
  ~ThreadExecutor() override { Stop(); }
  void Run(std::function<void()> work) override;
  // Waits for work that has begun. Idempotent.
  void Stop();

 private:
  void Loop(const std::stop_token& stop);

  Mutex mu_;
  std::condition_variable_any ready_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  std::vector<std::jthread> threads_;
};

}  // namespace riseml::scheduler
