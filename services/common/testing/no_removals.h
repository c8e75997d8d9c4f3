// RemovalService of an api that has no deleted experiments.
#pragma once

#include <grpcpp/grpcpp.h>

#include "riseml/internal/v1/removal.grpc.pb.h"

namespace riseml::fixtures {

class NoRemovals final : public internal::v1::RemovalService::Service {
 public:
  grpc::Status ListRemovals(grpc::ServerContext*, const internal::v1::ListRemovalsRequest*,
                            internal::v1::ListRemovalsResponse*) override {
    return grpc::Status::OK;
  }
};

}  // namespace riseml::fixtures
