// A fixed number of threads that run tasks in order of arrival.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "services/common/base/mutex.h"

namespace riseml::loghandler {

// Thread-safe. The queue needs no bound of its own: each call that is open posts at most one task at a time.
class Executor {
 public:
  explicit Executor(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this](std::stop_token stop) { Run(std::move(stop)); });
  }
  ~Executor() { Stop(); }

  // Dropped once stopped.
  void Post(std::function<void()> task) {
    {
      MutexLock lock(mu_);
      if (stopped_) return;
      tasks_.push_back(std::move(task));
    }
    some_.notify_one();
  }

  // Waits for tasks that run, drops those that wait. Idempotent.
  void Stop() {
    std::deque<std::function<void()>> dropped;
    {
      MutexLock lock(mu_);
      stopped_ = true;
      dropped.swap(tasks_);
    }
    for (std::jthread& thread : threads_) thread.request_stop();
    for (std::jthread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  void Run(std::stop_token stop) {
    while (true) {
      std::function<void()> task;
      {
        MutexLock lock(mu_);
        const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !tasks_.empty(); };
        if (!some_.wait(mu_, stop, some)) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  Mutex mu_;
  std::condition_variable_any some_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace riseml::loghandler
