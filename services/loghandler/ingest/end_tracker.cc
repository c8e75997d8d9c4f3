#include "services/loghandler/ingest/end_tracker.h"

#include <algorithm>

#include "riseml/v1/job.pb.h"

namespace riseml::loghandler {

void EndTracker::Update(const internal::v1::StreamInfo& info, absl::Time now) {
  const StreamId id{info.job_uid(), info.attempt()};
  if (!IsValid(id)) return;
  if (info.log_state() == v1::Attempt::COMPLETE) {
    attempts_.erase(id);
    return;
  }
  Attempt& attempt = attempts_[id];
  attempt.reported = info.log_state() == v1::Attempt::TRUNCATED;
  if (!info.ended()) {
    attempt.over_since.reset();
  } else if (info.has_end_time()) {
    // Another machine's clock may be ahead.
    attempt.over_since =
        std::min(now, absl::FromUnixSeconds(info.end_time().seconds()) + absl::Nanoseconds(info.end_time().nanos()));
  } else if (!attempt.over_since.has_value()) {  // an older api does not report the end time
    attempt.over_since = now;
  }
}

void EndTracker::Reported(const StreamId& id) {
  if (const auto it = attempts_.find(id); it != attempts_.end()) it->second.reported = true;
}

bool EndTracker::IsOverdue(const Attempt& attempt, absl::Time now) const {
  return !attempt.reported && attempt.over_since.has_value() && now - *attempt.over_since > grace_;
}

bool EndTracker::IsOverdue(const StreamId& id, absl::Time now) const {
  const auto it = attempts_.find(id);
  return it != attempts_.end() && IsOverdue(it->second, now);
}

std::vector<StreamId> EndTracker::Overdue(absl::Time now) const {
  std::vector<StreamId> overdue;
  for (const auto& [id, attempt] : attempts_) {
    if (IsOverdue(attempt, now)) overdue.push_back(id);
  }
  return overdue;
}

std::vector<StreamId> EndTracker::All() const {
  std::vector<StreamId> all;
  for (const auto& [id, attempt] : attempts_) all.push_back(id);
  return all;
}

}  // namespace riseml::loghandler
