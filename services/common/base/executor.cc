#include "services/common/base/executor.h"

#include <utility>

namespace riseml {

ThreadExecutor::ThreadExecutor(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this](const std::stop_token& stop) { Loop(stop); });
}

void ThreadExecutor::Run(std::function<void()> task) {
  {
    MutexLock lock(mu_);
    if (stopped_) return;
    tasks_.push_back(std::move(task));
  }
  ready_.notify_one();
}

void ThreadExecutor::Stop() {
  std::deque<std::function<void()>> dropped;  // released outside of the lock
  {
    MutexLock lock(mu_);
    stopped_ = true;
    dropped.swap(tasks_);
  }
  for (std::jthread& thread : threads_) thread.request_stop();
  for (std::jthread& thread : threads_)
    if (thread.joinable()) thread.join();
}

void ThreadExecutor::Loop(const std::stop_token& stop) {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(mu_);
      const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !tasks_.empty(); };
      if (!ready_.wait(mu_, stop, some)) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace riseml
