#include "services/api/handler/node_handler.h"

namespace riseml::api {

grpc::Status NodeHandler::ListNodes(grpc::ServerContext* context, const v1::ListNodesRequest* request,
                                    v1::ListNodesResponse* response) {
  return rpc::Unary(context, "riseml.v1.NodeService/ListNodes",
                    [&](const rpc::Call&) { return rpc::Answer(scheduling_.ListNodes(*request), response); });
}

}  // namespace riseml::api
