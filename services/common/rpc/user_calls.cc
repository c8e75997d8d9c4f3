#include "services/common/rpc/user_calls.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"

namespace riseml::rpc {
namespace {

// By then, some earlier calls have ended.
constexpr absl::Duration kCallAgain = absl::Milliseconds(200);
// Longer: a stream ends only when its user ends it.
constexpr absl::Duration kStreamAgain = absl::Seconds(5);
// Longer than any call of ours takes; a deadline of a client may be later.
constexpr absl::Duration kLongestWait = absl::Minutes(1);

bool HasBound(const internal::v1::Caller& caller) {
  return caller.kind() == internal::v1::Caller::USER || caller.kind() == internal::v1::Caller::JOB;
}

std::string Whose(const internal::v1::Caller& caller) {
  return absl::StrCat(caller.kind() == internal::v1::Caller::JOB ? "jobs of " : "", "user ", caller.user());
}

}  // namespace

UserCalls& UserCalls::OfProcess() {
  static auto* const calls = new UserCalls();  // outlives the threads of all servers
  return *calls;
}

absl::StatusOr<UserCalls::Permit> UserCalls::Enter(const internal::v1::Caller& caller, absl::Duration limit) {
  MutexLock lock(mu_);
  return Wait(caller, &Share::running, limits_.running, limit);
}

absl::StatusOr<UserCalls::Permit> UserCalls::EnterSerial(const internal::v1::Caller& caller, absl::Duration limit) {
  MutexLock lock(mu_);
  return Wait(caller, &Share::serial, 1, limit);
}

void UserCalls::SetLimits(CallLimits limits) {
  MutexLock lock(mu_);
  limits_ = limits;
}

absl::StatusOr<UserCalls::Permit> UserCalls::Wait(const internal::v1::Caller& caller, int Share::*count, int bound,
                                                  absl::Duration limit) {
  if (!HasBound(caller)) return Permit();
  const Key key(caller.kind(), caller.user());
  Share& share = shares_[key];
  const auto free = [&]() { return share.*count < bound; };
  if (!free()) {
    if (share.waiting >= limits_.waiting)
      return WithRetryDelay(LimitExceeded(absl::StrCat("too many calls of ", Whose(caller), " at once: ", bound,
                                                       " run, ", limits_.waiting, " wait"),
                                          bound + limits_.waiting, share.*count + share.waiting),
                            kCallAgain);
    bool in_time = false;
    if (limit > absl::ZeroDuration()) {
      ++share.waiting;
      in_time = share.left.wait_for(mu_, absl::ToChronoMilliseconds(std::min(limit, kLongestWait)), free);
      --share.waiting;
    }
    if (!in_time) {
      ForgetIfIdle(key);
      return absl::DeadlineExceededError(
          absl::StrCat("waited too long for other calls of ", Whose(caller), "; nothing was done"));
    }
  }
  ++(share.*count);
  return Permit(*this, key, count);
}

absl::StatusOr<UserCalls::Permit> UserCalls::EnterStream(const internal::v1::Caller& caller) {
  if (!HasBound(caller)) return Permit();
  const Key key(caller.kind(), caller.user());
  MutexLock lock(mu_);
  Share& share = shares_[key];
  if (share.streams >= limits_.streams)
    return WithRetryDelay(LimitExceeded(absl::StrCat(Whose(caller), " already watches ", share.streams,
                                                     " experiments, the most allowed; end some watches"),
                                        limits_.streams, share.streams),
                          kStreamAgain);
  ++share.streams;
  return Permit(*this, key, &Share::streams);
}

void UserCalls::Leave(const Key& key, int Share::*count) {
  MutexLock lock(mu_);
  Share& share = shares_.at(key);
  --(share.*count);
  if (share.waiting > 0)
    share.left.notify_all();  // they wait for different things
  else
    ForgetIfIdle(key);
}

void UserCalls::ForgetIfIdle(const Key& key) {
  const Share& share = shares_.at(key);
  if (share.running == 0 && share.serial == 0 && share.waiting == 0 && share.streams == 0) shares_.erase(key);
}

UserCalls::Permit& UserCalls::Permit::operator=(Permit&& other) noexcept {
  if (this == &other) return *this;
  Release();
  calls_ = std::exchange(other.calls_, nullptr);
  key_ = std::move(other.key_);
  count_ = other.count_;
  return *this;
}

void UserCalls::Permit::Release() {
  if (calls_ != nullptr) std::exchange(calls_, nullptr)->Leave(key_, count_);
}

}  // namespace riseml::rpc
