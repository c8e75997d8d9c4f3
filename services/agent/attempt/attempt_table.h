// Holds the node's attempts for the calls that list and watch them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "riseml/internal/v1/node_agent.pb.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/common/base/mutex.h"

namespace riseml::agent {

// Thread-safe. Each change of an attempt gets the next version; a watcher asks for changes after the version it has
// seen. It therefore needs no queue: an attempt that changes faster than the watcher reads is sent in its newest state.
class AttemptTable {
 public:
  struct Change {
    std::int64_t version = 0;
    internal::v1::AttemptStatus status;
  };

  // Sets the status. No effect if the status is unchanged.
  void Set(const AttemptId& id, const internal::v1::AttemptStatus& status);
  void Remove(const AttemptId& id);

  std::vector<internal::v1::AttemptStatus> List() const;
  std::optional<internal::v1::AttemptStatus> Find(const AttemptId& id) const;
  // Highest known attempt of a job; 0 if there is none.
  std::int32_t NewestAttempt(const std::string& job_uid) const;
  // The oldest change after `version`.
  std::optional<Change> NextAfter(std::int64_t version) const;

  // Calls `on_change` after changes, from any thread and without holding locks, until the returned subscription is
  // destroyed. No call happens after its destructor has returned. `on_change` must not destroy the subscription.
  class Subscription;
  std::unique_ptr<Subscription> Subscribe(std::function<void()> on_change);

 private:
  struct Entry {
    std::int64_t version = 0;
    internal::v1::AttemptStatus status;
  };
  struct Listener {
    Mutex mu;
    std::function<void()> on_change ABSL_GUARDED_BY(mu);  // empty once the subscription is gone
  };
  void Notify();

  mutable Mutex mu_;
  std::map<AttemptId, Entry> entries_ ABSL_GUARDED_BY(mu_);
  std::map<std::int64_t, AttemptId> by_version_ ABSL_GUARDED_BY(mu_);
  std::int64_t version_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::weak_ptr<Listener>> listeners_ ABSL_GUARDED_BY(mu_);
};

class AttemptTable::Subscription {
 public:
  explicit Subscription(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

 private:
  const std::shared_ptr<Listener> listener_;
};

}  // namespace riseml::agent
