#include "services/common/base/threads/fair_executor.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "services/common/base/log.h"

namespace riseml {
namespace {

// Lowers the priority of this thread only. Not to the disk's idle class, which never gets its turn on a busy machine.
void GiveWay() {
  constexpr int kWhoProcess = 1, kClassBestEffort = 2, kClassShift = 13, kLeast = 7;
  const bool nice = setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), PRIO_MAX - 1) == 0;
  if (!nice || syscall(SYS_ioprio_set, kWhoProcess, 0, kClassBestEffort << kClassShift | kLeast) != 0)
    LogWarning("priority_not_lowered", {{"thread", static_cast<int>(gettid())}});
}

}  // namespace

FairExecutor::FairExecutor(const FairExecutorOptions& options) : options_(options) {
  for (int i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) {
      if (options_.background) GiveWay();
      Loop(stop);
    });
  }
}

void FairExecutor::Run(const std::string& owner, std::function<void()> task) {
  {
    MutexLock lock(mu_);
    if (stopped_) return;
    Owner& own = owners_[owner];
    if (own.tasks.empty()) turns_.push_back(owner);
    own.tasks.push_back(std::move(task));
  }
  ready_.notify_one();
}

void FairExecutor::Stop() {
  std::vector<std::function<void()>> dropped;  // released outside of the lock
  {
    MutexLock lock(mu_);
    stopped_ = true;
    turns_.clear();
    for (auto& [name, owner] : owners_) {
      dropped.insert(dropped.end(), std::make_move_iterator(owner.tasks.begin()),
                     std::make_move_iterator(owner.tasks.end()));
      owner.tasks.clear();
    }
  }
  for (std::jthread& thread : threads_) thread.request_stop();
  for (std::jthread& thread : threads_)
    if (thread.joinable()) thread.join();
}

const std::string* FairExecutor::NextLocked() const {
  const auto next = std::ranges::find_if(turns_, [this](const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return owners_.at(name).running < options_.most_per_owner;
  });
  return next == turns_.end() ? nullptr : &*next;
}

std::function<void()> FairExecutor::TakeLocked(const std::string& owner) {
  Owner& own = owners_.at(owner);
  std::function<void()> task = std::move(own.tasks.front());
  own.tasks.pop_front();
  ++own.running;
  turns_.erase(std::ranges::find(turns_, owner));
  if (!own.tasks.empty()) turns_.push_back(owner);
  return task;
}

void FairExecutor::Loop(const std::stop_token& stop) {
  while (true) {
    std::string owner;
    std::function<void()> task;
    {
      MutexLock lock(mu_);
      const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return NextLocked() != nullptr; };
      if (!ready_.wait(mu_, stop, some)) return;
      owner = *NextLocked();
      task = TakeLocked(owner);
    }
    task();
    task = nullptr;
    {
      MutexLock lock(mu_);
      const auto it = owners_.find(owner);
      if (--it->second.running == 0 && it->second.tasks.empty()) owners_.erase(it);
    }
    ready_.notify_one();  // the owner may have another thread now
  }
}

}  // namespace riseml
