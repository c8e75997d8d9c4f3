#include "services/scheduler/controller/leadership.h"

#include "services/common/base/log.h"

namespace riseml::scheduler {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(200);
constexpr absl::Duration kLongestRetry = absl::Seconds(2);
constexpr absl::Duration kWhileOthersLead = absl::Seconds(1);

}  // namespace

bool Leadership::Hold() {
  const absl::Time now = ports_.clock.Now();
  if (now >= renew_at_) Renew(now);
  alarm_.At(renew_at_);
  const bool leads = epoch_ != 0 && ports_.clock.Now() < lease_until_;
  ports_.metrics.leader.Set(leads ? 1 : 0);
  return leads;
}

void Leadership::Renew(absl::Time now) {
  const absl::StatusOr<std::int64_t> epoch = ports_.api.AcquireLeadership(options_.holder, options_.lease, epoch_);
  if (epoch.ok()) {
    if (*epoch != epoch_) LogInfo("leadership_taken", {{"epoch", *epoch}});
    epoch_ = *epoch;
    failures_ = 0;
    renew_at_ = now + options_.lease / 3;
    lease_until_ = now + options_.lease;
    return;
  }
  if (SaysOthersLead(epoch.status())) {
    Lose();
    renew_at_ = now + kWhileOthersLead;
    return;
  }
  if (failures_ == 0) LogWarning("leadership_not_renewed", {{"epoch", epoch_}, {"error", epoch.status().message()}});
  renew_at_ = now + Backoff(failures_++, kFirstRetry, kLongestRetry);
}

void Leadership::Lose() {
  if (epoch_ != 0) LogInfo("leadership_lost", {{"epoch", epoch_}});
  epoch_ = 0;
  renew_at_ = ports_.clock.Now();
  alarm_.At(renew_at_);
}

}  // namespace riseml::scheduler
