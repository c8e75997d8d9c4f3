// riseml.v1.EnvironmentService.
#pragma once

#include "riseml/internal/v1/builder.grpc.pb.h"
#include "riseml/v1/environment.grpc.pb.h"
#include "services/api/code/environment_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class EnvironmentHandler final : public v1::EnvironmentService::Service {
 public:
  // All outlive this.
  EnvironmentHandler(EnvironmentStore& environments, internal::v1::BuilderService::StubInterface& builder)
      : environments_(environments), builder_(builder) {}

  grpc::Status ListEnvironments(grpc::ServerContext*, const v1::ListEnvironmentsRequest*,
                                v1::ListEnvironmentsResponse*) override;
  grpc::Status RemoveEnvironment(grpc::ServerContext*, const v1::RemoveEnvironmentRequest*,
                                 v1::RemoveEnvironmentResponse*) override;

 private:
  absl::StatusOr<v1::RemoveEnvironmentResponse> Remove(const rpc::Call& call, const std::string& key);

  EnvironmentStore& environments_;
  internal::v1::BuilderService::StubInterface& builder_;
};

}  // namespace riseml::api
