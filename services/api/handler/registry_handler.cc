#include "services/api/handler/registry_handler.h"

namespace riseml::api {

grpc::Status RegistryHandler::SetRegistryCredential(grpc::ServerContext* context,
                                                    const v1::SetRegistryCredentialRequest* request,
                                                    v1::RegistryCredential* response) {
  return rpc::Unary(context, "riseml.v1.RegistryService/SetRegistryCredential",
                    [&](const rpc::Call& call) { return rpc::Answer(registries_.Set(call, *request), response); });
}

grpc::Status RegistryHandler::ListRegistryCredentials(grpc::ServerContext* context,
                                                      const v1::ListRegistryCredentialsRequest* request,
                                                      v1::ListRegistryCredentialsResponse* response) {
  return rpc::Unary(context, "riseml.v1.RegistryService/ListRegistryCredentials",
                    [&](const rpc::Call& call) { return rpc::Answer(registries_.List(call, *request), response); });
}

grpc::Status RegistryHandler::DeleteRegistryCredential(grpc::ServerContext* context,
                                                       const v1::DeleteRegistryCredentialRequest* request,
                                                       google::protobuf::Empty*) {
  return rpc::Unary(context, "riseml.v1.RegistryService/DeleteRegistryCredential",
                    [&](const rpc::Call& call) { return registries_.Delete(call, request->name()); });
}

grpc::Status RegistryCredentialHandler::FindRegistryCredential(
    grpc::ServerContext* context, const internal::v1::FindRegistryCredentialRequest* request,
    internal::v1::FindRegistryCredentialResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.RegistryCredentialService/FindRegistryCredential",
                    [&](const rpc::Call&) { return rpc::Answer(registries_.Find(*request), response); });
}

}  // namespace riseml::api
