// Removes environments: at a user's request, or because they exceed the limits.
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

// Returns the keys of the environments to remove, in order: those unused for longer than `max_age`, then the least
// recently used until the rest fits. Never returns one in use. Pure.
std::vector<std::string> ChooseForRemoval(const std::vector<v1::StoredEnvironment>& environments,
                                          const EnvironmentLimits& limits, absl::Time now);

// Lists the environments on the disk, as builder knows them.
absl::StatusOr<EnvironmentStore::Stored> ListStored(Builder& builder);

// Removes an environment from the database and from the disk. `call` is nullptr when the limits require the removal.
// Errors are those of EnvironmentStore::BeginRemoval. If the disk keeps the environment, the database does too.
absl::Status RemoveStored(const rpc::Call* call, const std::string& key, EnvironmentStore& environments,
                          Builder& builder);

// Removes environments beyond the limits once an hour until stopped.
void CollectEnvironments(std::stop_token stop, EnvironmentStore& environments, Builder& builder,
                         const EnvironmentLimits& limits, const Clock& clock);

}  // namespace riseml::api
