#include "services/api/handler/environment_handler.h"

#include <algorithm>

#include "services/api/code/environment_removal.h"
#include "services/common/base/status_macros.h"

namespace riseml::api {

grpc::Status EnvironmentHandler::ListEnvironments(grpc::ServerContext* context, const v1::ListEnvironmentsRequest*,
                                                  v1::ListEnvironmentsResponse* response) {
  return rpc::Unary(context, "riseml.v1.EnvironmentService/ListEnvironments",
                    [&](const rpc::Call& call) -> absl::Status {
                      RISEML_ASSIGN_OR_RETURN(const EnvironmentStore::Stored stored, ListStored(builder_));
                      RISEML_ASSIGN_OR_RETURN(auto list, environments_.List(&call, stored));
                      for (v1::StoredEnvironment& one : list) *response->add_environments() = std::move(one);
                      return absl::OkStatus();
                    });
}

grpc::Status EnvironmentHandler::RemoveEnvironment(grpc::ServerContext* context,
                                                   const v1::RemoveEnvironmentRequest* request,
                                                   v1::RemoveEnvironmentResponse* response) {
  return rpc::Unary(context, "riseml.v1.EnvironmentService/RemoveEnvironment",
                    [&](const rpc::Call& call) { return rpc::Answer(Remove(call, request->key()), response); });
}

absl::StatusOr<v1::RemoveEnvironmentResponse> EnvironmentHandler::Remove(const rpc::Call& call,
                                                                         const std::string& key) {
  RISEML_ASSIGN_OR_RETURN(const EnvironmentStore::Stored stored, ListStored(builder_));
  RISEML_ASSIGN_OR_RETURN(const auto list, environments_.List(&call, stored));
  RISEML_ASSIGN_OR_RETURN(const std::string whole, EnvironmentStore::FindKey(list, key));
  RISEML_RETURN_IF_ERROR(RemoveStored(&call, whole, environments_, builder_));
  v1::RemoveEnvironmentResponse response;
  response.set_bytes(std::ranges::find(list, whole, [](const auto& one) { return one.key(); })->bytes());
  return response;
}

}  // namespace riseml::api
