#include "services/scheduler/controller/waits.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/names.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::scheduler {
namespace {

using internal::v1::CommitPlanRequest;
using internal::v1::Wait;

constexpr std::size_t kMaxWaits =
    200;  // per pass, in one call: jobs that can start must not wait behind thousands of reasons
constexpr absl::Duration kEnvironmentPoll = absl::Seconds(1);
constexpr absl::Duration kMessageInterval = absl::Seconds(5);

}  // namespace

void Waits::ForEnvironment(const std::string& uid, Job& job, const std::string& building_job) {
  const auto name = ParseJobName(building_job);
  job.blocked_by = name.ok() ? ShortId(*name) : building_job;
  shared_.jobs.Suspend(uid, shared_.Now() + kEnvironmentPoll);
  Say(uid, "ENVIRONMENT", absl::StrCat("waits for its environment, which ", job.blocked_by, " builds"));
}

void Waits::ForBuilder(const std::string& uid, Job& job, const absl::Status& status) {
  const bool impossible =
      status.code() == absl::StatusCode::kInvalidArgument || status.code() == absl::StatusCode::kNotFound;
  if (impossible && job.work.state() == v1::Job::PENDING) {
    job.candidate = false;
    observations_.Add(
        job, {Impossible(uid, "ENVIRONMENT_IMPOSSIBLE", absl::StrCat("find the environment: ", status.message()))});
    return;
  }
  shared_.jobs.Suspend(uid, shared_.Now() + kEnvironmentPoll);
  Say(uid, "BUILDER_UNAVAILABLE", absl::StrCat("the environment cannot be found: ", status.message()));
}

void Waits::ForRetry(const std::string& uid, const Job& job) {
  const absl::Time due = FromProtoTime(job.work.not_before());
  shared_.jobs.Later(uid, due);
  Say(uid, "RETRY",
      absl::StrCat("waits until ", absl::FormatTime("%H:%M:%S", due, absl::UTCTimeZone()),
                   " UTC before it is tried again"));
}

bool Waits::Send() {
  CommitPlanRequest request;
  request.set_epoch(shared_.epoch);
  for (Wait& wait : TakeChanged()) *request.add_waits() = std::move(wait);
  if (request.waits().empty()) return true;
  const auto response = shared_.ports.api.CommitPlan(request);
  if (SaysOthersLead(response.status())) return false;
  if (!response.ok()) {
    LogWarning("waits_not_committed", {{"waits", request.waits_size()}, {"error", response.status().message()}});
    shared_.alarm.At(shared_.Now() + absl::Seconds(1));
    return true;
  }
  for (const Wait& wait : request.waits()) {
    Job& job = *shared_.jobs.Find(wait.job_uid());
    job.wait_reason = wait.reason();
    job.wait_message = wait.message();
    job.wait_committed = shared_.Now();
  }
  if (request.waits_size() == static_cast<int>(kMaxWaits)) shared_.alarm.At(shared_.Now());
  return true;
}

// Returns the waits to record now; drops those that are recorded already or outdated.
std::vector<Wait> Waits::TakeChanged() {
  const absl::Time now = shared_.Now();
  std::vector<Wait> changed;
  for (auto it = waits_.begin(); it != waits_.end() && changed.size() < kMaxWaits;) {
    const Job* const job = shared_.jobs.Find(it->first);
    const auto& [reason, message] = it->second;
    const bool placed = job == nullptr || job->Live() != nullptr || job->work.state() != v1::Job::PENDING;
    if (placed || (job->wait_reason == reason && job->wait_message == message)) {
      it = waits_.erase(it);
      continue;
    }
    if (job->wait_reason == reason && now < job->wait_committed + kMessageInterval) {
      shared_.alarm.At(job->wait_committed + kMessageInterval);
    } else {
      Wait& wait = changed.emplace_back();
      wait.set_job_uid(it->first);
      wait.set_reason(reason);
      wait.set_message(message);
    }
    ++it;
  }
  return changed;
}

}  // namespace riseml::scheduler
