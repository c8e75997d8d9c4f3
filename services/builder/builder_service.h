// Serves BuilderService over gRPC.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include "riseml/internal/v1/builder.grpc.pb.h"
#include "services/builder/environment/backend.h"
#include "services/builder/resolver.h"

namespace riseml::builder {

struct BuilderMetrics {
  explicit BuilderMetrics(prometheus::Registry& registry)
      : resolved(prometheus::BuildCounter()
                     .Name("riseml_builder_environments_resolved_total")
                     .Help("Environments resolved, by state and by what the cache decided.")
                     .Register(registry)) {}
  prometheus::Family<prometheus::Counter>& resolved;
};

// Thread-safe.
class BuilderHandler final : public internal::v1::BuilderService::Service {
 public:
  // All outlive this.
  BuilderHandler(Resolver& resolver, EnvironmentBackend& backend, BuilderMetrics& metrics)
      : resolver_(resolver), backend_(backend), metrics_(metrics) {}

  grpc::Status ResolveEnvironment(grpc::ServerContext* context, const internal::v1::ResolveEnvironmentRequest* request,
                                  internal::v1::Environment* response) override;
  grpc::Status MakeImage(grpc::ServerContext* context, const internal::v1::MakeImageRequest* request,
                         internal::v1::ContainerImage* response) override;
  grpc::Status ListStoredEnvironments(grpc::ServerContext* context,
                                      const internal::v1::ListStoredEnvironmentsRequest* request,
                                      internal::v1::ListStoredEnvironmentsResponse* response) override;
  grpc::Status RemoveStoredEnvironment(grpc::ServerContext* context,
                                       const internal::v1::RemoveStoredEnvironmentRequest* request,
                                       internal::v1::RemoveStoredEnvironmentResponse* response) override;

 private:
  Resolver& resolver_;
  EnvironmentBackend& backend_;
  BuilderMetrics& metrics_;
};

}  // namespace riseml::builder
