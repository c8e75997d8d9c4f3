// RegistryService on the wire, and RegistryCredentialService for services.
#pragma once

#include "riseml/internal/v1/registry_credential.grpc.pb.h"
#include "riseml/v1/registry.grpc.pb.h"
#include "services/api/user/registry_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class RegistryHandler final : public v1::RegistryService::Service {
 public:
  explicit RegistryHandler(RegistryStore& registries) : registries_(registries) {}  // outlives this

  grpc::Status SetRegistryCredential(grpc::ServerContext*, const v1::SetRegistryCredentialRequest*,
                                     v1::RegistryCredential*) override;
  grpc::Status ListRegistryCredentials(grpc::ServerContext*, const v1::ListRegistryCredentialsRequest*,
                                       v1::ListRegistryCredentialsResponse*) override;
  grpc::Status DeleteRegistryCredential(grpc::ServerContext*, const v1::DeleteRegistryCredentialRequest*,
                                        google::protobuf::Empty*) override;

 private:
  RegistryStore& registries_;
};

// Thread-safe.
class RegistryCredentialHandler final : public internal::v1::RegistryCredentialService::Service {
 public:
  explicit RegistryCredentialHandler(RegistryStore& registries) : registries_(registries) {}  // outlives this

  grpc::Status FindRegistryCredential(grpc::ServerContext*, const internal::v1::FindRegistryCredentialRequest*,
                                      internal::v1::FindRegistryCredentialResponse*) override;

 private:
  RegistryStore& registries_;
};

}  // namespace riseml::api
