#include "services/api/handler/user_handler.h"

#include "services/common/base/names.h"

namespace riseml::api {

grpc::Status UserHandler::GetCaller(grpc::ServerContext* context, const v1::GetCallerRequest*, v1::User* response) {
  return rpc::Unary(context, "riseml.v1.UserService/GetCaller", [&](const rpc::Call& call) {
    return rpc::Answer(users_.Get(call, Print(UserName{call.caller.user()})), response);
  });
}
grpc::Status UserHandler::CreateUser(grpc::ServerContext* context, const v1::CreateUserRequest* request,
                                     v1::CreateUserResponse* response) {
  return rpc::Unary(context, "riseml.v1.UserService/CreateUser",
                    [&](const rpc::Call& call) { return rpc::Answer(users_.Create(call, *request), response); });
}
grpc::Status UserHandler::GetUser(grpc::ServerContext* context, const v1::GetUserRequest* request, v1::User* response) {
  return rpc::Unary(context, "riseml.v1.UserService/GetUser",
                    [&](const rpc::Call& call) { return rpc::Answer(users_.Get(call, request->name()), response); });
}
grpc::Status UserHandler::ListUsers(grpc::ServerContext* context, const v1::ListUsersRequest* request,
                                    v1::ListUsersResponse* response) {
  return rpc::Unary(context, "riseml.v1.UserService/ListUsers",
                    [&](const rpc::Call&) { return rpc::Answer(users_.List(*request), response); });
}
grpc::Status UserHandler::UpdateUser(grpc::ServerContext* context, const v1::UpdateUserRequest* request,
                                     v1::User* response) {
  return rpc::Unary(context, "riseml.v1.UserService/UpdateUser", [&](const rpc::Call& call) {
    const absl::Status status = rpc::Answer(users_.Update(call, *request), response);
    ForgetCallers();
    return status;
  });
}
grpc::Status UserHandler::DisableUser(grpc::ServerContext* context, const v1::DisableUserRequest* request,
                                      v1::User* response) {
  return rpc::Unary(context, "riseml.v1.UserService/DisableUser", [&](const rpc::Call& call) {
    const absl::Status status = rpc::Answer(users_.Disable(call, request->name()), response);
    ForgetCallers();
    return status;
  });
}
grpc::Status UserHandler::RotateApiKey(grpc::ServerContext* context, const v1::RotateApiKeyRequest* request,
                                       v1::RotateApiKeyResponse* response) {
  return rpc::Unary(context, "riseml.v1.UserService/RotateApiKey", [&](const rpc::Call& call) {
    const absl::Status status = rpc::Answer(users_.RotateKey(call, *request), response);
    ForgetCallers();
    return status;
  });
}
void UserHandler::ForgetCallers() {
  authenticator_.Forget();
  feed_.WakeAll();
}

}  // namespace riseml::api
