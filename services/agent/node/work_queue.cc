#include "services/agent/node/work_queue.h"

#include <algorithm>

namespace riseml::agent {

void WorkQueue::AddLocked(const std::string& key) {
  if (working_.contains(key)) {
    again_.insert(key);
    return;
  }
  if (queued_.insert(key).second) order_.push_back(key);
}

void WorkQueue::Add(const std::string& key) {
  MutexLock lock(mu_);
  AddLocked(key);
  changed_.notify_one();
}

void WorkQueue::AddAfter(const std::string& key, absl::Duration delay) {
  MutexLock lock(mu_);
  const absl::Time time = clock_.Now() + delay;
  const auto [it, added] = later_.try_emplace(key, time);
  if (!added) it->second = std::min(it->second, time);
  changed_.notify_one();
}

absl::Duration WorkQueue::AddDue() {
  const absl::Time now = clock_.Now();
  absl::Time next = absl::InfiniteFuture();
  for (auto it = later_.begin(); it != later_.end();) {
    if (it->second > now) {
      next = std::min(next, it->second);
      ++it;
      continue;
    }
    AddLocked(it->first);
    it = later_.erase(it);
  }
  return next - now;
}

std::optional<std::string> WorkQueue::Get(std::stop_token stop) {
  MutexLock lock(mu_);
  while (!stop.stop_requested()) {
    const absl::Duration pause = std::min(AddDue(), absl::Hours(1));
    if (!order_.empty()) {
      std::string key = std::move(order_.front());
      order_.pop_front();
      queued_.erase(key);
      working_.insert(key);
      return key;
    }
    // Any change wakes this thread, which then checks everything again.
    bool woken = false;
    changed_.wait_for(mu_, stop, absl::ToChronoMilliseconds(pause) + std::chrono::milliseconds(1),
                      [&woken] { return std::exchange(woken, true); });
  }
  return std::nullopt;
}

void WorkQueue::Done(const std::string& key) {
  MutexLock lock(mu_);
  working_.erase(key);
  if (again_.erase(key) > 0) AddLocked(key);
  changed_.notify_one();
}

}  // namespace riseml::agent
