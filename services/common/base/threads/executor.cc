#include "services/common/base/threads/executor.h"

#include <system_error>
#include <utility>

namespace riseml {

void ThreadExecutor::Run(std::function<void()> task) {
  {
    MutexLock lock(mu_);
    if (stopped_) return;
    tasks_.push_back(std::move(task));
    if (idle_ < tasks_.size() && threads_.size() < most_threads_) BeginThreadLocked();
  }
  ready_.notify_one();
}

// If the system has no more threads, the existing threads run the task.
void ThreadExecutor::BeginThreadLocked() {
  try {
    threads_.emplace_back([this](const std::stop_token& stop) { Loop(stop); });
  } catch (const std::system_error&) {
    if (threads_.empty()) throw;
  }
}

void ThreadExecutor::Stop() {
  std::deque<std::function<void()>> dropped;  // released outside of the lock
  std::vector<std::jthread> threads;
  {
    MutexLock lock(mu_);
    stopped_ = true;
    dropped.swap(tasks_);
    threads.swap(threads_);
  }
  for (std::jthread& thread : threads) thread.request_stop();
  for (std::jthread& thread : threads) thread.join();
}

void ThreadExecutor::Loop(const std::stop_token& stop) {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(mu_);
      const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !tasks_.empty(); };
      ++idle_;
      const bool found = ready_.wait(mu_, stop, some);
      --idle_;
      if (!found) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace riseml
