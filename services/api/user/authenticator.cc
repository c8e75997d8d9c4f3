#include "services/api/user/authenticator.h"

#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/authorization.h"

namespace riseml::api {
namespace {
constexpr absl::Duration kRemember = absl::Seconds(5);
constexpr std::size_t kCapacity = 10'000;
}  // namespace

absl::StatusOr<internal::v1::Caller> Authenticator::Authenticate(absl::string_view credential) {
  return Find(Source::kCredential, credential);
}

absl::StatusOr<internal::v1::Caller> Authenticator::FindUser(absl::string_view user) {
  return Find(Source::kName, user);
}

absl::StatusOr<internal::v1::Caller> Authenticator::Recheck(const rpc::Call& call) {
  const std::string& service = call.caller.acting_service();
  absl::StatusOr<internal::v1::Caller> now =
      service.empty() ? Authenticate(call.credential) : FindUser(call.caller.user());
  RISEML_RETURN_IF_ERROR(rpc::CheckStillAllowed(call.caller, now));
  now->set_acting_service(service);
  return now;
}

absl::StatusOr<internal::v1::Caller> Authenticator::Find(Source source, absl::string_view text) {
  const std::pair key(source, std::string(text));
  std::int64_t generation = 0;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(key);
    if (it != entries_.end() && clock_.Now() < it->second.until) return it->second.caller;
    generation = generation_;
  }
  RISEML_ASSIGN_OR_RETURN(const internal::v1::Caller caller, LookUp(source, text));
  MutexLock lock(mu_);
  // A result from before a change of users must not be remembered after it.
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

std::int64_t Authenticator::generation() {
  MutexLock lock(mu_);
  return generation_;
}

absl::StatusOr<internal::v1::Caller> Authenticator::LookUp(Source source, absl::string_view text) {
  if (source == Source::kName) return callers_.FindByName(std::string(text));
  if (const auto key = ParseApiKey(text)) return callers_.FindByKey(*key);
  if (const auto id = tokens_.Verify(text)) return callers_.FindByAttempt(*id, token_grace_);
  return Error(Reason::kUnauthenticated, "the API key is not valid; log in with `riseml user login`");
}

}  // namespace riseml::api
