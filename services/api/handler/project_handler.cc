#include "services/api/handler/project_handler.h"

namespace riseml::api {

grpc::Status ProjectHandler::GetProject(grpc::ServerContext* context, const v1::GetProjectRequest* request,
                                        v1::Project* response) {
  return rpc::Unary(context, "riseml.v1.ProjectService/GetProject", [&](const rpc::Call& call) {
    return rpc::Answer(code_.GetProject(call, request->name()), response);
  });
}
grpc::Status ProjectHandler::ListProjects(grpc::ServerContext* context, const v1::ListProjectsRequest* request,
                                          v1::ListProjectsResponse* response) {
  return rpc::Unary(context, "riseml.v1.ProjectService/ListProjects",
                    [&](const rpc::Call& call) { return rpc::Answer(code_.ListProjects(call, *request), response); });
}
grpc::Status ProjectHandler::DeleteProject(grpc::ServerContext* context, const v1::DeleteProjectRequest* request,
                                           v1::DeleteProjectResponse*) {
  return rpc::SerialUnary(context, "riseml.v1.ProjectService/DeleteProject",
                          [&](const rpc::Call& call) { return removals_.DeleteProject(call, *request); });
}

}  // namespace riseml::api
