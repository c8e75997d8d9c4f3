#include "services/api/watch.h"

namespace riseml::api {

Executor::Executor(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this](std::stop_token stop) { Loop(stop); });
}

Executor::~Executor() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

void Executor::Run(std::function<void()> task) {
  {
    MutexLock lock(mu_);
    tasks_.push_back(std::move(task));
  }
  ready_.notify_one();
}

void Executor::Loop(std::stop_token stop) {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(mu_);
      if (!ready_.wait(mu_, stop, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !tasks_.empty(); })) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace riseml::api
