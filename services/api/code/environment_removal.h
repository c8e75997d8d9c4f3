// Removal of environments: at the wish of a user, or beyond the limits.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/builder.grpc.pb.h"
#include "riseml/v1/environment.pb.h"
#include "services/api/code/environment_store.h"
#include "services/common/base/clock.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

using Builder = internal::v1::BuilderService::StubInterface;

// Limits for environments that are kept. A zero age and a negative size mean no limit.
struct EnvironmentLimits {
  absl::Duration max_age;
  std::int64_t max_bytes = -1;
};

// Keys of the environments to remove, in order: those unused for longer than `max_age`, then the least recently used
// until the rest fits. Never one in use. Pure.
std::vector<std::string> ChooseForRemoval(const std::vector<v1::StoredEnvironment>& environments,
                                          const EnvironmentLimits& limits, absl::Time now);

// The environments that lie on the disk, as builder knows them.
absl::StatusOr<EnvironmentStore::Stored> ListStored(Builder& builder);

// Removes one from the database and from the disk. Without a `call` the limits want it. Errors as those of
// EnvironmentStore::BeginRemoval; one that stays on the disk is kept in the database too.
absl::Status RemoveStored(const rpc::Call* call, const std::string& key, EnvironmentStore& environments,
                          Builder& builder);

// Removes what is beyond the limits, once an hour until stopped.
void CollectEnvironments(std::stop_token stop, EnvironmentStore& environments, Builder& builder,
                         const EnvironmentLimits& limits, const Clock& clock);

}  // namespace riseml::api
