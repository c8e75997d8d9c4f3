#include "services/common/rpc/identities.h"

#include "absl/strings/str_cat.h"

namespace riseml::rpc {
namespace {
constexpr std::size_t kMaxIdentities = 10'000;
}

std::string CredentialKey(absl::string_view credential) { return absl::StrCat("credential ", credential); }

std::string ActingKey(absl::string_view service, absl::string_view on_behalf_of) {
  return absl::StrCat("acting ", service, " ", on_behalf_of);
}

Identities& Identities::OfProcess() {
  static Identities* const identities = new Identities();
  return *identities;
}

void Identities::Put(const std::string& key, const internal::v1::Caller& caller) {
  MutexLock lock(mu_);
  if (const auto it = index_.find(key); it != index_.end()) {
    it->second->caller = caller;
    newest_first_.splice(newest_first_.begin(), newest_first_, it->second);
    return;
  }
  newest_first_.push_front({key, caller});
  index_[key] = newest_first_.begin();
  if (newest_first_.size() <= kMaxIdentities) return;
  index_.erase(newest_first_.back().key);
  newest_first_.pop_back();
}

internal::v1::Caller Identities::Find(const std::string& key) {
  MutexLock lock(mu_);
  const auto it = index_.find(key);
  return it == index_.end() ? internal::v1::Caller() : it->second->caller;
}

}  // namespace riseml::rpc
