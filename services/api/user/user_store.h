// Accounts of users and their API keys, as administrators manage them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/access.pb.h"
#include "riseml/v1/user.pb.h"
#include "services/api/data/api_keys.h"
#include "services/api/data/database.h"
#include "services/api/data/stored_bytes.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class UserStore {
 public:
  // `db` outlives this. `limits` are shown to users.
  explicit UserStore(Database& db, UserLimits limits = {}) : db_(db), limits_(limits) {}

  absl::StatusOr<v1::CreateUserResponse> Create(const rpc::Call& call, const v1::CreateUserRequest& request);
  absl::StatusOr<v1::User> Get(const rpc::Call& call, const std::string& name);
  absl::StatusOr<v1::ListUsersResponse> List(const v1::ListUsersRequest& request);
  absl::StatusOr<v1::User> Update(const rpc::Call& call, const v1::UpdateUserRequest& request);
  absl::StatusOr<v1::User> Disable(const rpc::Call& call, const std::string& name);
  absl::StatusOr<v1::RotateApiKeyResponse> RotateKey(const rpc::Call& call, const v1::RotateApiKeyRequest& request);

  // Creates user admin and a key if there are no users; otherwise returns ALREADY_EXISTS.
  absl::StatusOr<std::string> Bootstrap();
  // Makes another key for user admin, and makes that user an enabled administrator. For an owner of the installation
  // who has lost every key. NOT_FOUND if there is no user admin.
  absl::StatusOr<std::string> MakeAdminKey();

 private:
  Database& db_;
  const UserLimits limits_;
};

}  // namespace riseml::api
