#include "services/api/authenticator.h"

#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::api {
namespace {
constexpr absl::Duration kRemember = absl::Seconds(5);
constexpr std::size_t kCapacity = 10'000;
}  // namespace

absl::StatusOr<internal::v1::Caller> Authenticator::Authenticate(absl::string_view credential) {
  const std::string key(credential);
  std::int64_t generation = 0;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(key);
    if (it != entries_.end() && clock_.Now() < it->second.until) return it->second.caller;
    generation = generation_;
  }
  RISEML_ASSIGN_OR_RETURN(const internal::v1::Caller caller, LookUp(credential));
  MutexLock lock(mu_);
  // What was looked up before a change of users must not outlive it.
  if (generation != generation_) return caller;
  if (entries_.size() >= kCapacity) entries_.clear();
  entries_[key] = {caller, clock_.Now() + kRemember};
  return caller;
}

void Authenticator::Forget() {
  MutexLock lock(mu_);
  entries_.clear();
  ++generation_;
}

absl::StatusOr<internal::v1::Caller> Authenticator::LookUp(absl::string_view credential) {
  if (const auto key = ParseApiKey(credential)) return users_.FindByKey(*key);
  if (const auto id = tokens_.Verify(credential)) return users_.FindByAttempt(*id, token_grace_);
  return Error(Reason::kUnauthenticated, "the API key is not valid; log in with `riseml user login`");
}

}  // namespace riseml::api
