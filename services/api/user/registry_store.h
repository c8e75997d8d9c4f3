// Stores credentials for registries of base images: users set, list and delete them, builder reads them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/registry_credential.pb.h"
#include "riseml/v1/registry.pb.h"
#include "services/api/data/database.h"
#include "services/api/user/secret_box.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe. Errors are those of RegistryService and RegistryCredentialService.
class RegistryStore {
 public:
  // Both outlive this.
  RegistryStore(Database& db, const SecretBox& box) : db_(db), box_(box) {}

  absl::StatusOr<v1::RegistryCredential> Set(const rpc::Call& call, const v1::SetRegistryCredentialRequest& request);
  absl::StatusOr<v1::ListRegistryCredentialsResponse> List(const rpc::Call& call,
                                                           const v1::ListRegistryCredentialsRequest& request);
  absl::Status Delete(const rpc::Call& call, const std::string& name);

  absl::StatusOr<internal::v1::FindRegistryCredentialResponse> Find(
      const internal::v1::FindRegistryCredentialRequest& request);

 private:
  Database& db_;
  const SecretBox& box_;
};

}  // namespace riseml::api
