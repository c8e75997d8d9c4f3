#include "services/api/handler/revision_registry_handler.h"

namespace riseml::api {

grpc::Status RevisionRegistryHandler::ResolveProject(grpc::ServerContext* context,
                                                     const internal::v1::ResolveProjectRequest* request,
                                                     internal::v1::ResolveProjectResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.RevisionRegistryService/ResolveProject",
                    [&](const rpc::Call& call) { return rpc::Answer(code_.ResolveProject(call, *request), response); });
}

grpc::Status RevisionRegistryHandler::RegisterRevision(grpc::ServerContext* context,
                                                       const internal::v1::RegisterRevisionRequest* request,
                                                       v1::Revision* response) {
  return rpc::Unary(context, "riseml.internal.v1.RevisionRegistryService/RegisterRevision", [&](const rpc::Call& call) {
    return rpc::Answer(code_.RegisterRevision(call, *request), response);
  });
}

}  // namespace riseml::api
