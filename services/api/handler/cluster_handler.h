// The handler of riseml.v1.ClusterService.
#pragma once

#include "riseml/v1/cluster.grpc.pb.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class ClusterHandler final : public v1::ClusterService::Service {
 public:
  explicit ClusterHandler(v1::ClusterInfo info) : info_(std::move(info)) {}
  grpc::Status GetClusterInfo(grpc::ServerContext*, const v1::GetClusterInfoRequest*, v1::ClusterInfo*) override;

 private:
  const v1::ClusterInfo info_;
};

}  // namespace riseml::api
