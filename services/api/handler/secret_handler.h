// SecretService on the wire.
#pragma once

#include "riseml/v1/secret.grpc.pb.h"
#include "services/api/user/secret_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class SecretHandler final : public v1::SecretService::Service {
 public:
  explicit SecretHandler(SecretStore& secrets) : secrets_(secrets) {}  // outlives this

  grpc::Status SetSecret(grpc::ServerContext*, const v1::SetSecretRequest*, v1::Secret*) override;
  grpc::Status ListSecrets(grpc::ServerContext*, const v1::ListSecretsRequest*, v1::ListSecretsResponse*) override;
  grpc::Status DeleteSecret(grpc::ServerContext*, const v1::DeleteSecretRequest*, google::protobuf::Empty*) override;

 private:
  SecretStore& secrets_;
};

}  // namespace riseml::api
