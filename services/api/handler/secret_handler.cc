#include "services/api/handler/secret_handler.h"

namespace riseml::api {

grpc::Status SecretHandler::SetSecret(grpc::ServerContext* context, const v1::SetSecretRequest* request,
                                      v1::Secret* response) {
  return rpc::Unary(context, "riseml.v1.SecretService/SetSecret",
                    [&](const rpc::Call& call) { return rpc::Answer(secrets_.Set(call, *request), response); });
}

grpc::Status SecretHandler::ListSecrets(grpc::ServerContext* context, const v1::ListSecretsRequest* request,
                                        v1::ListSecretsResponse* response) {
  return rpc::Unary(context, "riseml.v1.SecretService/ListSecrets",
                    [&](const rpc::Call& call) { return rpc::Answer(secrets_.List(call, *request), response); });
}

grpc::Status SecretHandler::DeleteSecret(grpc::ServerContext* context, const v1::DeleteSecretRequest* request,
                                         google::protobuf::Empty*) {
  return rpc::Unary(context, "riseml.v1.SecretService/DeleteSecret",
                    [&](const rpc::Call& call) { return secrets_.Delete(call, request->name()); });
}

}  // namespace riseml::api
