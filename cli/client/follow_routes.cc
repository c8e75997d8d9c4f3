#include "cli/client/follow_routes.h"

#include "absl/strings/str_cat.h"

namespace riseml::cli {
namespace {

constexpr int kMaxHops = 4;

}  // namespace

void FollowRoutes::Began(const std::string& address) { calls_[address].clear(); }

absl::StatusOr<FollowRoutes::Action> FollowRoutes::Redirect(const std::string& from, const v1::LogOwner& owner) {
  const Key key(owner.job_uid(), owner.attempt());
  const std::string& to = owner.address();
  if (const auto call = calls_.find(from); call != calls_.end()) call->second.insert(key);
  std::string& believed = owners_.try_emplace(key, first_).first->second;
  if (believed != from) return Action::kNothing;  // stale: another address is the owner already
  if (to.empty() || to == from || ++hops_[key] > kMaxHops)
    return absl::UnavailableError(absl::StrCat("cannot find the log of ", owner.job(), ": the log service at ", from,
                                               " refers to the one at ", to.empty() ? "an empty address" : to,
                                               ", and so on; try again later"));
  believed = to;
  const auto call = calls_.find(to);
  if (call == calls_.end()) return Action::kCall;
  return call->second.contains(key) ? Action::kCallAgain : Action::kNothing;
}

FollowRoutes::Action FollowRoutes::Lost(const std::string& address) {
  calls_.erase(address);
  for (auto& [key, owner] : owners_) {
    if (owner != address) continue;
    owner = first_;
    hops_.erase(key);  // to wait for a new owner takes as long as it takes
  }
  return calls_.contains(first_) ? Action::kCallAgain : Action::kCall;
}

}  // namespace riseml::cli
