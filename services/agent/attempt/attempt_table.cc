#include "services/agent/attempt/attempt_table.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace riseml::agent {

void AttemptTable::Set(const AttemptId& id, const internal::v1::AttemptStatus& status) {
  {
    MutexLock lock(mu_);
    Entry& entry = entries_[id];
    if (entry.version != 0 && entry.status.SerializeAsString() == status.SerializeAsString()) return;
    by_version_.erase(entry.version);
    entry = {++version_, status};
    by_version_[version_] = id;
  }
  Notify();
}

void AttemptTable::Remove(const AttemptId& id) {
  MutexLock lock(mu_);
  const auto it = entries_.find(id);
  if (it == entries_.end()) return;
  by_version_.erase(it->second.version);
  entries_.erase(it);
}

std::vector<internal::v1::AttemptStatus> AttemptTable::List() const {
  MutexLock lock(mu_);
  std::vector<internal::v1::AttemptStatus> all;
  for (const auto& [id, entry] : entries_) all.push_back(entry.status);
  return all;
}

std::optional<internal::v1::AttemptStatus> AttemptTable::Find(const AttemptId& id) const {
  MutexLock lock(mu_);
  const auto it = entries_.find(id);
  if (it == entries_.end()) return std::nullopt;
  return it->second.status;
}

std::int32_t AttemptTable::NewestAttempt(const std::string& job_uid) const {
  MutexLock lock(mu_);
  auto it = entries_.upper_bound({job_uid, std::numeric_limits<std::int32_t>::max()});
  if (it == entries_.begin()) return 0;
  --it;
  return it->first.job_uid == job_uid ? it->first.attempt : 0;
}

std::optional<AttemptTable::Change> AttemptTable::NextAfter(std::int64_t version) const {
  MutexLock lock(mu_);
  const auto it = by_version_.upper_bound(version);
  if (it == by_version_.end()) return std::nullopt;
  return Change{it->first, entries_.at(it->second).status};
}

std::unique_ptr<AttemptTable::Subscription> AttemptTable::Subscribe(std::function<void()> on_change) {
  auto listener = std::make_shared<Listener>();
  {
    MutexLock lock(listener->mu);
    listener->on_change = std::move(on_change);
  }
  MutexLock lock(mu_);
  std::erase_if(listeners_, [](const std::weak_ptr<Listener>& l) { return l.expired(); });
  listeners_.push_back(listener);
  return std::make_unique<Subscription>(std::move(listener));
}

void AttemptTable::Notify() {
  std::vector<std::weak_ptr<Listener>> listeners;
  {
    MutexLock lock(mu_);
    listeners = listeners_;
  }
  for (const std::weak_ptr<Listener>& weak : listeners) {
    const std::shared_ptr<Listener> listener = weak.lock();
    if (listener == nullptr) continue;
    MutexLock lock(listener->mu);
    if (listener->on_change) listener->on_change();
  }
}

AttemptTable::Subscription::~Subscription() {
  MutexLock lock(listener_->mu);
  listener_->on_change = nullptr;
}

}  // namespace riseml::agent
