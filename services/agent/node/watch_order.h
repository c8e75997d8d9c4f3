// Order of the messages of a watch of attempts: each attempt that there was at the beginning once, then "synced", then
// further changes. Pure.
#pragma once

#include <optional>
#include <set>
#include <utility>

#include "services/agent/attempt/attempt_dir.h"

namespace riseml::agent {

// Lives on one thread.
class WatchOrder {
 public:
  // `present`: attempts at the beginning of the watch.
  explicit WatchOrder(std::set<AttemptId> present) : unsent_(std::move(present)) {}

  enum class Message { kNothing, kSynced, kChange };
  // Returns the message to send now. `change` is the attempt of the oldest change that has not been sent. An attempt
  // that changes meanwhile has a newer version than the others; it still comes before "synced".
  Message Next(const std::optional<AttemptId>& change) {
    if (!synced_ && (!change || unsent_.empty())) {
      synced_ = true;
      return Message::kSynced;
    }
    if (!change) return Message::kNothing;
    unsent_.erase(*change);
    return Message::kChange;
  }

 private:
  std::set<AttemptId> unsent_;
  bool synced_ = false;
};

}  // namespace riseml::agent
