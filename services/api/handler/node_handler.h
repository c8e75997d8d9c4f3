// The handler of riseml.v1.NodeService.
#pragma once

#include "riseml/v1/node.grpc.pb.h"
#include "services/api/scheduling/scheduling_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class NodeHandler final : public v1::NodeService::Service {
 public:
  explicit NodeHandler(SchedulingStore& scheduling) : scheduling_(scheduling) {}  // outlives this
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest*, v1::ListNodesResponse*) override;

 private:
  SchedulingStore& scheduling_;
};

}  // namespace riseml::api
