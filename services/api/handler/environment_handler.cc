#include "services/api/handler/environment_handler.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>

#include "services/common/base/log.h"
#include "services/common/base/mutex.h"
#include "services/common/base/pause.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/channel.h"

namespace riseml::api {
namespace {

using Builder = internal::v1::BuilderService::StubInterface;

// Sizes are counted by looking at every file.
constexpr absl::Duration kBuilderLimit = absl::Seconds(60);

absl::StatusOr<EnvironmentStore::Stored> AskBuilder(Builder& builder) {
  const auto response = rpc::Invoke<internal::v1::ListStoredEnvironmentsResponse>(
      [&](auto* context, auto* answer) {
        return builder.ListStoredEnvironments(context, internal::v1::ListStoredEnvironmentsRequest(), answer);
      },
      {.timeout = kBuilderLimit, .tries = 1});
  if (!response.ok()) return While("ask builder for the environments", response.status());
  return EnvironmentStore::Stored(response->environments().begin(), response->environments().end());
}

absl::Status RemoveOne(const rpc::Call* call, const std::string& key, EnvironmentStore& environments,
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

absl::Status Collect(EnvironmentStore& environments, Builder& builder, const EnvironmentLimits& limits,
                     const Clock& clock) {
  RISEML_ASSIGN_OR_RETURN(const EnvironmentStore::Stored stored, AskBuilder(builder));
  RISEML_ASSIGN_OR_RETURN(const auto list, environments.List(nullptr, stored));
  for (const std::string& key : ChooseForRemoval(list, limits, clock.Now())) {
    RISEML_RETURN_IF_ERROR(RemoveOne(nullptr, key, environments, builder));
    LogInfo("environment_removed", {{"key", key}});
  }
  return absl::OkStatus();
}

}  // namespace

grpc::Status EnvironmentHandler::ListEnvironments(grpc::ServerContext* context, const v1::ListEnvironmentsRequest*,
                                                  v1::ListEnvironmentsResponse* response) {
  return rpc::Unary(context, "riseml.v1.EnvironmentService/ListEnvironments",
                    [&](const rpc::Call& call) -> absl::Status {
                      RISEML_ASSIGN_OR_RETURN(const EnvironmentStore::Stored stored, AskBuilder(builder_));
                      RISEML_ASSIGN_OR_RETURN(auto list, environments_.List(&call, stored));
                      for (v1::StoredEnvironment& one : list) *response->add_environments() = std::move(one);
                      return absl::OkStatus();
                    });
}

grpc::Status EnvironmentHandler::RemoveEnvironment(grpc::ServerContext* context,
                                                   const v1::RemoveEnvironmentRequest* request,
                                                   v1::RemoveEnvironmentResponse* response) {
  return rpc::Unary(context, "riseml.v1.EnvironmentService/RemoveEnvironment",
                    [&](const rpc::Call& call) { return rpc::Answer(Remove(call, request->key()), response); });
}

absl::StatusOr<v1::RemoveEnvironmentResponse> EnvironmentHandler::Remove(const rpc::Call& call,
                                                                         const std::string& key) {
  RISEML_ASSIGN_OR_RETURN(const EnvironmentStore::Stored stored, AskBuilder(builder_));
  RISEML_ASSIGN_OR_RETURN(const auto list, environments_.List(&call, stored));
  RISEML_ASSIGN_OR_RETURN(const std::string whole, EnvironmentStore::FindKey(list, key));
  RISEML_RETURN_IF_ERROR(RemoveOne(&call, whole, environments_, builder_));
  v1::RemoveEnvironmentResponse response;
  response.set_bytes(std::ranges::find(list, whole, [](const auto& one) { return one.key(); })->bytes());
  return response;
}

void CollectEnvironments(std::stop_token stop, EnvironmentStore& environments, Builder& builder,
                         const EnvironmentLimits& limits, const Clock& clock) {
  absl::Status status;
  do {
    status = Collect(environments, builder, limits, clock);
    if (!status.ok()) LogWarning("environments_not_collected", {{"error", std::string(status.message())}});
    // Soon after the start builder may not be there yet.
  } while (Pause(stop, status.ok() ? absl::Minutes(60) : absl::Minutes(1)));
}

}  // namespace riseml::api
