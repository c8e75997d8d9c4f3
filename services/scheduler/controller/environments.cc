#include "services/scheduler/controller/environments.h"

#include "services/common/rpc/status.h"

namespace riseml::scheduler {
namespace {

constexpr absl::Duration kRemember = absl::Seconds(1);
constexpr std::size_t kMaxAnswers = 10'000;

bool IsAway(const absl::Status& status) {
  return rpc::IsTransient(status) || status.code() == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

internal::v1::ResolveEnvironmentRequest RequestOf(const internal::v1::JobTemplate& job) {
  internal::v1::ResolveEnvironmentRequest request;
  request.set_owner_uid(job.owner_uid());
  request.set_project_uid(job.project_uid());
  request.set_commit(job.commit());
  *request.mutable_install() = job.install();
  request.set_framework(job.framework());
  request.set_framework_version(job.framework_version());
  request.set_rebuild(job.rebuild());
  request.set_image(job.image());
  return request;
}

absl::StatusOr<internal::v1::Environment> EnvironmentCache::Resolve(const internal::v1::JobTemplate& job) {
  if (job.install().empty() && job.framework().empty()) {
    internal::v1::Environment environment;
    environment.set_state(internal::v1::Environment::NOT_NEEDED);
    return environment;
  }
  const absl::Time now = clock_.Now();
  const internal::v1::ResolveEnvironmentRequest request = RequestOf(job);
  const std::string key = request.SerializeAsString();
  if (const auto it = answers_.find(key); it != answers_.end() && now < it->second.until) return it->second.environment;
  if (now < away_until_) return away_;
  auto environment = environments_.Resolve(request);
  if (!environment.ok() && IsAway(environment.status())) {
    away_ = environment.status();
    away_until_ = clock_.Now() + kRemember;
    return away_;
  }
  if (answers_.size() >= kMaxAnswers) answers_.clear();
  answers_.insert_or_assign(key, Answer{environment, now + kRemember});
  return environment;
}

}  // namespace riseml::scheduler
