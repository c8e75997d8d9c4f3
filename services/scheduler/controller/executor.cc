#include "services/scheduler/controller/executor.h"

namespace riseml::scheduler {

ThreadExecutor::ThreadExecutor(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this](const std::stop_token& stop) { Loop(stop); });
}

void ThreadExecutor::Run(std::function<void()> work) {
  {
    MutexLock lock(mu_);
    queue_.push_back(std::move(work));
  }
  ready_.notify_one();
}

void ThreadExecutor::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void ThreadExecutor::Loop(const std::stop_token& stop) {
  while (true) {
    std::function<void()> work;
    {
      MutexLock lock(mu_);
      const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !queue_.empty(); };
      if (!ready_.wait(mu_, stop, some) || stop.stop_requested()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace riseml::scheduler
