#include "services/api/handler/removal_handler.h"

namespace riseml::api {

grpc::Status RemovalHandler::ListRemovals(grpc::ServerContext* context,
                                          const internal::v1::ListRemovalsRequest* request,
                                          internal::v1::ListRemovalsResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.RemovalService/ListRemovals",
                    [&](const rpc::Call&) { return rpc::Answer(removals_.List(*request), response); });
}

grpc::Status RemovalHandler::ReportRemoved(grpc::ServerContext* context,
                                           const internal::v1::ReportRemovedRequest* request,
                                           internal::v1::ReportRemovedResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.RemovalService/ReportRemoved",
                    [&](const rpc::Call&) { return removals_.Report(*request); });
}

}  // namespace riseml::api
