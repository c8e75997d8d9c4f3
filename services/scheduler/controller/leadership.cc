// Controller: taking, renewing and losing the leadership.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/scheduler/controller/controller.h"

namespace riseml::scheduler {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLongestRetry = absl::Seconds(2);
constexpr absl::Duration kWhileOthersLead = absl::Seconds(1);

}  // namespace

// True while this process may act.
bool Controller::Lead() {
  const absl::Time now = Now();
  if (now >= renew_at_) {
    const absl::StatusOr<std::int64_t> epoch = ports_.api.AcquireLeadership(options_.holder, options_.lease, epoch_);
    if (epoch.ok()) {
      if (*epoch != epoch_) Reset(*epoch);
      failed_acquisitions_ = 0;
      renew_at_ = now + options_.lease / 3;
      lease_until_ = now + options_.lease;
    } else if (HasReason(epoch.status(), Reason::kNotLeader)) {
      if (epoch_ != 0) Reset(0);
      renew_at_ = now + kWhileOthersLead;
    } else {
      if (failed_acquisitions_++ == 0)
        LogWarning("leadership_not_renewed", {{"epoch", epoch_}, {"error", epoch.status().message()}});
      renew_at_ = now + std::min(kFirstRetry * (1 << std::min(failed_acquisitions_, 6)), kLongestRetry);
    }
  }
  WakeAt(renew_at_);
  const bool leads = epoch_ != 0 && Now() < lease_until_;
  ports_.metrics.leader.Set(leads ? 1 : 0);
  return leads;
}

// Forgets everything; with an epoch, begins to lead.
void Controller::Reset(std::int64_t epoch) {
  LogInfo(epoch == 0 ? "leadership_lost" : "leadership_taken", {{"epoch", epoch == 0 ? epoch_ : epoch}});
  epoch_ = epoch;
  ++generation_;
  led_since_ = Now();
  state_ = State();
  cache_.Clear();
  builds_seen_ = 0;
  observations_.clear();
  failed_reports_ = 0;
  waits_.clear();
  evictions_.clear();
  engine_nodes_.clear();
  plan_needed_ = false;
  failed_commits_ = 0;
  plan_not_before_ = absl::InfinitePast();
  reported_nodes_.clear();
  report_nodes_at_ = absl::InfinitePast();
  if (epoch != 0) ports_.api.RestartWatch();
}

// True, and everything is forgotten, when the error says that somebody else leads.
bool Controller::LostLeadership(const absl::Status& status) {
  if (!HasReason(status, Reason::kNotLeader)) return false;
  Reset(0);
  renew_at_ = Now();
  WakeAt(Now());
  return true;
}

}  // namespace riseml::scheduler
