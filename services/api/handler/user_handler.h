// UserService on the wire, for users.
#pragma once

#include "riseml/v1/user.grpc.pb.h"
#include "services/api/data/watch_cache.h"
#include "services/api/user/authenticator.h"
#include "services/api/user/user_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class UserHandler final : public v1::UserService::Service {
 public:
  UserHandler(UserStore& users, Authenticator& authenticator, WatchCache& feed)
      : users_(users), authenticator_(authenticator), feed_(feed) {}  // all outlive this
  grpc::Status GetCaller(grpc::ServerContext*, const v1::GetCallerRequest*, v1::User*) override;
  grpc::Status CreateUser(grpc::ServerContext*, const v1::CreateUserRequest*, v1::CreateUserResponse*) override;
  grpc::Status GetUser(grpc::ServerContext*, const v1::GetUserRequest*, v1::User*) override;
  grpc::Status ListUsers(grpc::ServerContext*, const v1::ListUsersRequest*, v1::ListUsersResponse*) override;
  grpc::Status UpdateUser(grpc::ServerContext*, const v1::UpdateUserRequest*, v1::User*) override;
  grpc::Status DisableUser(grpc::ServerContext*, const v1::DisableUserRequest*, v1::User*) override;
  grpc::Status RotateApiKey(grpc::ServerContext*, const v1::RotateApiKeyRequest*, v1::RotateApiKeyResponse*) override;

 private:
  // Forgets all callers after a change of keys or roles; open watches check their callers again.
  void ForgetCallers();

  UserStore& users_;
  Authenticator& authenticator_;
  WatchCache& feed_;
};

}  // namespace riseml::api
