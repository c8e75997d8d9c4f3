#include "services/api/handler/cluster_handler.h"

namespace riseml::api {

grpc::Status ClusterHandler::GetClusterInfo(grpc::ServerContext* context, const v1::GetClusterInfoRequest*,
                                            v1::ClusterInfo* response) {
  return rpc::Unary(context, "riseml.v1.ClusterService/GetClusterInfo", [&](const rpc::Call&) {
    *response = info_;
    return absl::OkStatus();
  });
}

}  // namespace riseml::api
