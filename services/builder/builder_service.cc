#include "services/builder/builder_service.h"

#include "services/common/base/status_macros.h"
#include "services/common/rpc/call.h"

namespace riseml::builder {

grpc::Status BuilderHandler::ResolveEnvironment(grpc::ServerContext* context,
                                                const internal::v1::ResolveEnvironmentRequest* request,
                                                internal::v1::Environment* response) {
  return rpc::Unary(
      context, "riseml.internal.v1.BuilderService/ResolveEnvironment", [&](const rpc::Call&) -> absl::Status {
        RISEML_ASSIGN_OR_RETURN(*response, resolver_.Resolve(*request));
        metrics_.resolved.Add({{"state", internal::v1::Environment::State_Name(response->state())}}).Increment();
        return absl::OkStatus();
      });
}

}  // namespace riseml::builder
