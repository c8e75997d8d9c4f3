#include "services/builder/builder_service.h"

#include "services/common/base/status_macros.h"
#include "services/common/rpc/call.h"

namespace riseml::builder {

grpc::Status BuilderHandler::ResolveEnvironment(grpc::ServerContext* context,
                                                const internal::v1::ResolveEnvironmentRequest* request,
                                                internal::v1::Environment* response) {
  return rpc::Unary(context, "riseml.internal.v1.BuilderService/ResolveEnvironment",
                    [&](const rpc::Call&) -> absl::Status {
                      RISEML_ASSIGN_OR_RETURN(*response, resolver_.Resolve(*request));
                      const auto decision = response->explanation().decision();
                      metrics_.resolved
                          .Add({{"state", internal::v1::Environment::State_Name(response->state())},
                                {"decision", internal::v1::CacheExplanation::Decision_Name(decision)}})
                          .Increment();
                      return absl::OkStatus();
                    });
}

grpc::Status BuilderHandler::MakeImage(grpc::ServerContext* context, const internal::v1::MakeImageRequest* request,
                                       internal::v1::ContainerImage* response) {
  return rpc::Unary(context, "riseml.internal.v1.BuilderService/MakeImage",
                    [&](const rpc::Call&) { return rpc::Answer(backend_.MakeImage(*request), response); });
}

grpc::Status BuilderHandler::ListStoredEnvironments(grpc::ServerContext* context,
                                                    const internal::v1::ListStoredEnvironmentsRequest*,
                                                    internal::v1::ListStoredEnvironmentsResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.BuilderService/ListStoredEnvironments",
                    [&](const rpc::Call&) -> absl::Status {
                      RISEML_ASSIGN_OR_RETURN(auto environments, backend_.List());
                      for (internal::v1::StoredEnvironment& environment : environments)
                        *response->add_environments() = std::move(environment);
                      return absl::OkStatus();
                    });
}

grpc::Status BuilderHandler::RemoveStoredEnvironment(grpc::ServerContext* context,
                                                     const internal::v1::RemoveStoredEnvironmentRequest* request,
                                                     internal::v1::RemoveStoredEnvironmentResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.BuilderService/RemoveStoredEnvironment",
                    [&](const rpc::Call&) { return backend_.Remove(request->key()); });
}

}  // namespace riseml::builder
