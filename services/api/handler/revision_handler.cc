#include "services/api/handler/revision_handler.h"

namespace riseml::api {

grpc::Status RevisionHandler::GetRevision(grpc::ServerContext* context, const v1::GetRevisionRequest* request,
                                          v1::Revision* response) {
  return rpc::Unary(context, "riseml.v1.RevisionService/GetRevision", [&](const rpc::Call& call) {
    return rpc::Answer(code_.GetRevision(call, request->name()), response);
  });
}
grpc::Status RevisionHandler::ListRevisions(grpc::ServerContext* context, const v1::ListRevisionsRequest* request,
                                            v1::ListRevisionsResponse* response) {
  return rpc::Unary(context, "riseml.v1.RevisionService/ListRevisions",
                    [&](const rpc::Call& call) { return rpc::Answer(code_.ListRevisions(call, *request), response); });
}

}  // namespace riseml::api
