// Controller: attempts that give back what they hold.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/names.h"
#include "services/scheduler/controller/controller.h"

namespace riseml::scheduler {
namespace {

constexpr std::size_t kMaxEvictions = 500;  // a call
// The watch may show the members of one placement one after the other; after this long, a member has been left behind.
constexpr absl::Duration kGangGrace = absl::Seconds(2);
constexpr absl::Duration kRepeat = absl::Seconds(1);

}  // namespace

// All members of a gang start together. When one has to wait again, because its node did not take it, the others give
// back what they hold; the gang is then placed anew.
void Controller::ReleaseGang(const std::string& uid, Job& job) {
  std::vector<std::string> holding;
  for (const std::string& member : state_.Gang(job.work.gang()))
    if (member != uid && state_.jobs().at(member).Live() != nullptr) holding.push_back(member);
  if (holding.empty()) {
    job.left_behind_since = absl::InfiniteFuture();
    return;
  }
  job.left_behind_since = std::min(job.left_behind_since, Now());
  const absl::Time due = job.left_behind_since + kGangGrace;
  // Until they have stopped: an eviction that was not committed is asked for again.
  state_.Later(uid, std::max(due, Now() + kRepeat));
  if (Now() < due) return;
  const auto name = ParseJobName(job.work.job());
  for (const std::string& member : holding) {
    const internal::v1::LiveAttempt& live = *state_.jobs().at(member).Live();
    if (live.evicted()) continue;
    internal::v1::Eviction& eviction = evictions_.emplace_back();
    eviction.set_job_uid(member);
    eviction.set_attempt(live.number());
    eviction.set_reason("GANG_INCOMPLETE");
    eviction.set_message(absl::StrCat(name.ok() ? ShortId(*name) : job.work.job(),
                                      " of its group has to wait again, and all start together"));
  }
}

// False when the leadership is lost.
bool Controller::CommitEvictions() {
  const std::vector<internal::v1::Eviction> evictions = std::exchange(evictions_, {});
  for (std::size_t begin = 0; begin < evictions.size(); begin += kMaxEvictions) {
    internal::v1::CommitPlanRequest request;
    request.set_epoch(epoch_);
    const std::size_t end = std::min(evictions.size(), begin + kMaxEvictions);
    for (std::size_t i = begin; i < end; ++i) *request.add_evictions() = evictions[i];
    const auto response = ports_.api.CommitPlan(request);
    if (LostLeadership(response.status())) return false;
    if (!response.ok())
      LogWarning("evictions_not_committed",
                 {{"evictions", request.evictions_size()}, {"error", response.status().message()}});
  }
  return true;
}

}  // namespace riseml::scheduler
