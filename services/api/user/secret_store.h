// Stores secrets of users: users set, list and delete them, attempts fetch them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/v1/secret.pb.h"
#include "services/api/data/database.h"
#include "services/api/user/secret_box.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe. Errors are those of SecretService.
class SecretStore {
 public:
  // Both outlive this.
  SecretStore(Database& db, const SecretBox& box) : db_(db), box_(box) {}

  absl::StatusOr<v1::Secret> Set(const rpc::Call& call, const v1::SetSecretRequest& request);
  absl::StatusOr<v1::ListSecretsResponse> List(const rpc::Call& call, const v1::ListSecretsRequest& request);
  absl::Status Delete(const rpc::Call& call, const std::string& name);

  // Returns FAILED_PRECONDITION, with advice, unless the user has all of `names` for the project.
  absl::Status Require(const std::string& user_uid, const std::string& project, const std::vector<std::string>& names);

  // Values by name of the secrets that the job of the calling attempt asks for. Records the use.
  absl::StatusOr<std::map<std::string, std::string>> Fetch(const rpc::Call& call);

 private:
  Database& db_;
  const SecretBox& box_;
};

}  // namespace riseml::api
