// Decides which log handlers to call when they name each other as owners of streams. Pure.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "riseml/v1/log.pb.h"

namespace riseml::cli {

// Not thread-safe.
class FollowRoutes {
 public:
  // `first`: address of the log handler that is called first.
  explicit FollowRoutes(std::string first) : first_(std::move(first)) { Began(first_); }

  enum class Action {
    kNothing,    // the owner is being called
    kCall,       // call the owner
    kCallAgain,  // the owner is being called, but has denied its ownership in this call: call it anew
  };

  // Takes the owner of a stream that the log handler at `from` has named. UNAVAILABLE if the stream was redirected too
  // often without a byte of it; the message names the job and the addresses.
  absl::StatusOr<Action> Redirect(const std::string& from, const v1::LogOwner& owner);

  // Record that a call to an address begins, or has ended for good.
  void Began(const std::string& address);
  void Ended(const std::string& address) { calls_.erase(address); }

  // The log handler at `address`, which is not the first one, cannot be reached any more: its streams are asked of the
  // first one again, which may name another owner. The call of `address` must have ended.
  Action Lost(const std::string& address);

  // Records that a part of a stream has arrived.
  void Progress(const std::string& job_uid, int attempt) { hops_.erase({job_uid, attempt}); }

 private:
  using Key = std::pair<std::string, int>;
  const std::string first_;
  std::map<Key, std::string> owners_;           // as far as they were named
  std::map<Key, int> hops_;                     // since something of the stream has come
  std::map<std::string, std::set<Key>> calls_;  // by address: streams its present call has passed on
};

}  // namespace riseml::cli
