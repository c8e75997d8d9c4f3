#include "services/api/code/environment_removal.h"

#include <algorithm>

#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/pause.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/proto_time.h"

namespace riseml::api {
namespace {

// Age up to which an interrupted build is kept, as it may go on.
constexpr absl::Duration kBrokenAge = absl::Hours(24);
// Builder looks at every file to count sizes.
constexpr absl::Duration kBuilderLimit = absl::Seconds(60);

absl::Status Collect(EnvironmentStore& environments, Builder& builder, const EnvironmentLimits& limits,
                     const Clock& clock) {
  RISEML_ASSIGN_OR_RETURN(const EnvironmentStore::Stored stored, ListStored(builder));
  RISEML_ASSIGN_OR_RETURN(const auto list, environments.List(nullptr, stored));
  for (const std::string& key : ChooseForRemoval(list, limits, clock.Now())) {
    RISEML_RETURN_IF_ERROR(RemoveStored(nullptr, key, environments, builder));
    LogInfo("environment_removed", {{"key", key}});
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> ChooseForRemoval(const std::vector<v1::StoredEnvironment>& environments,
                                          const EnvironmentLimits& limits, absl::Time now) {
  struct Candidate {
    absl::Time used;
    const v1::StoredEnvironment* environment;
  };
  std::vector<Candidate> candidates;
  std::int64_t total = 0;
  for (const v1::StoredEnvironment& environment : environments) {
    total += environment.bytes();
    if (environment.used_by_size() > 0) continue;
    const absl::Time used =
        std::max(FromProtoTime(environment.create_time()), FromProtoTime(environment.last_use_time()));
    candidates.push_back({used, &environment});
  }
  std::ranges::stable_sort(candidates, {}, &Candidate::used);
  std::vector<std::string> keys;
  for (const Candidate& candidate : candidates) {
    // An environment without an owner is not recorded: its build was interrupted or is under way.
    const absl::Duration age = now - candidate.used;
    const bool broken = candidate.environment->owner().empty() && age > kBrokenAge;
    const bool old = limits.max_age > absl::ZeroDuration() && age > limits.max_age;
    const bool too_large = limits.max_bytes >= 0 && total > limits.max_bytes && age > absl::Minutes(10);
    if (!broken && !old && !too_large) continue;
    keys.push_back(candidate.environment->key());
    total -= candidate.environment->bytes();
  }
  return keys;
}

absl::StatusOr<EnvironmentStore::Stored> ListStored(Builder& builder) {
  const auto response = rpc::Invoke<internal::v1::ListStoredEnvironmentsResponse>(
      [&](auto* context, auto* answer) {
        return builder.ListStoredEnvironments(context, internal::v1::ListStoredEnvironmentsRequest(), answer);
      },
      {.timeout = kBuilderLimit, .tries = 1});
  if (!response.ok()) return While("ask builder for the environments", response.status());
  return EnvironmentStore::Stored(response->environments().begin(), response->environments().end());
}

absl::Status RemoveStored(const rpc::Call* call, const std::string& key, EnvironmentStore& environments,
                          Builder& builder) {
  RISEML_RETURN_IF_ERROR(environments.BeginRemoval(call, key));
  internal::v1::RemoveStoredEnvironmentRequest request;
  request.set_key(key);
  const auto removed = rpc::Invoke<internal::v1::RemoveStoredEnvironmentResponse>(
      [&](auto* context, auto* answer) { return builder.RemoveStoredEnvironment(context, request, answer); },
      {.timeout = kBuilderLimit, .tries = 1});
  if (removed.ok()) return absl::OkStatus();
  RISEML_RETURN_IF_ERROR(environments.CancelRemoval(key));
  return While("remove the environment from the disk", removed.status());
}

void CollectEnvironments(std::stop_token stop, EnvironmentStore& environments, Builder& builder,
                         const EnvironmentLimits& limits, const Clock& clock) {
  absl::Status status;
  do {
    status = Collect(environments, builder, limits, clock);
    if (!status.ok()) LogWarning("environments_not_collected", {{"error", std::string(status.message())}});
    // Builder may not be up soon after the start.
  } while (Pause(stop, status.ok() ? absl::Minutes(60) : absl::Minutes(1)));
}

}  // namespace riseml::api
