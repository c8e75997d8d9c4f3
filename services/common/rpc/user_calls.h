// Bounds the running calls and open streams of each user, so that no user takes up a whole service.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/access.pb.h"
#include "services/common/base/mutex.h"

namespace riseml::rpc {

// Bounds of one user; all jobs of the user together have a second set of these bounds.
struct CallLimits {
  int running = 4;    // unary calls that run at once, besides one serial call
  int waiting = 27;   // unary calls that wait to run
  int streams = 100;  // open watches
};

// Thread-safe. Callers that are not users or jobs have no bound.
class UserCalls {
 public:
  class Permit;

  explicit UserCalls(CallLimits limits = CallLimits()) : limits_(limits) {}

  // Returns the instance of all servers of this process. Its bounds are set before the first server starts.
  static UserCalls& OfProcess();
  void SetLimits(CallLimits limits);

  // Waits until few enough calls of the caller run. LIMIT_EXCEEDED, with a retry delay, when too many wait already;
  // DEADLINE_EXCEEDED after `limit`.
  absl::StatusOr<Permit> Enter(const internal::v1::Caller& caller, absl::Duration limit);

  // As Enter, but of the caller's calls that enter here, only one runs at a time (rpc::SerialUnary).
  absl::StatusOr<Permit> EnterSerial(const internal::v1::Caller& caller, absl::Duration limit);

  // LIMIT_EXCEEDED, with a retry delay, when the caller has too many streams.
  absl::StatusOr<Permit> EnterStream(const internal::v1::Caller& caller);

 private:
  using Key = std::pair<internal::v1::Caller::Kind, std::string>;  // kind, user
  struct Share {
    int running = 0, serial = 0, waiting = 0, streams = 0;
    std::condition_variable_any left;
  };

  // Waits until `count` of the caller's share is below `bound`, and adds one to it.
  absl::StatusOr<Permit> Wait(const internal::v1::Caller& caller, int Share::*count, int bound, absl::Duration limit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Leave(const Key& key, int Share::*count);
  void ForgetIfIdle(const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex mu_;
  CallLimits limits_ ABSL_GUARDED_BY(mu_);
  std::map<Key, Share> shares_ ABSL_GUARDED_BY(mu_);  // of those who have calls or streams now
};

// Right to run a call, given back when destroyed. The UserCalls must outlive it.
class UserCalls::Permit {
 public:
  Permit() = default;  // of a caller without a bound
  Permit(Permit&& other) noexcept { *this = std::move(other); }
  Permit& operator=(Permit&& other) noexcept;
  ~Permit() { Release(); }

 private:
  friend class UserCalls;
  Permit(UserCalls& calls, Key key, int Share::*count) : calls_(&calls), key_(std::move(key)), count_(count) {}
  void Release();

  UserCalls* calls_ = nullptr;
  Key key_;
  int Share::*count_ = nullptr;
};

}  // namespace riseml::rpc
