// ProjectService on the wire, for users.
#pragma once

#include "riseml/v1/project.grpc.pb.h"
#include "services/api/code/code_store.h"
#include "services/api/experiment/removal_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class ProjectHandler final : public v1::ProjectService::Service {
 public:
  ProjectHandler(CodeStore& code, RemovalStore& removals) : code_(code), removals_(removals) {}  // both outlive this
  grpc::Status GetProject(grpc::ServerContext*, const v1::GetProjectRequest*, v1::Project*) override;
  grpc::Status ListProjects(grpc::ServerContext*, const v1::ListProjectsRequest*, v1::ListProjectsResponse*) override;
  grpc::Status DeleteProject(grpc::ServerContext*, const v1::DeleteProjectRequest*,
                             v1::DeleteProjectResponse*) override;

 private:
  CodeStore& code_;
  RemovalStore& removals_;
};

}  // namespace riseml::api
