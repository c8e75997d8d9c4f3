#include "services/common/rpc/identities.h"

namespace riseml::rpc {
namespace {
constexpr std::size_t kMaxIdentities = 10'000;
}

Identities& Identities::OfProcess() {
  static Identities* const identities = new Identities();
  return *identities;
}

void Identities::Put(const std::string& credential, const internal::v1::Caller& caller) {
  MutexLock lock(mu_);
  if (const auto it = index_.find(credential); it != index_.end()) {
    it->second->caller = caller;
    newest_first_.splice(newest_first_.begin(), newest_first_, it->second);
    return;
  }
  newest_first_.push_front({credential, caller});
  index_[credential] = newest_first_.begin();
  if (newest_first_.size() <= kMaxIdentities) return;
  index_.erase(newest_first_.back().credential);
  newest_first_.pop_back();
}

internal::v1::Caller Identities::Find(const std::string& credential) {
  MutexLock lock(mu_);
  const auto it = index_.find(credential);
  return it == index_.end() ? internal::v1::Caller() : it->second->caller;
}

}  // namespace riseml::rpc
