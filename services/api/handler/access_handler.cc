#include "services/api/handler/access_handler.h"

#include "services/api/handler/on_behalf_of.h"
#include "services/api/watch/watchers.h"
#include "services/common/base/status_macros.h"

namespace riseml::api {

grpc::Status AccessHandler::Authenticate(grpc::ServerContext* context, const internal::v1::AuthenticateRequest* request,
                                         internal::v1::Caller* response) {
  return rpc::Unary(context, "riseml.internal.v1.AccessService/Authenticate", [&](const rpc::Call&) {
    return rpc::Answer(authenticator_.Authenticate(request->credential()), response);
  });
}

grpc::Status AccessHandler::Check(grpc::ServerContext* context, const internal::v1::CheckRequest* request,
                                  internal::v1::CheckResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.AccessService/Check", [&](const rpc::Call& call) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const rpc::Call as_user, OnBehalfOf(call, authenticator_, request->credential()));
    return rpc::Answer(code_.Check(as_user, *request), response);
  });
}

grpc::ServerWriteReactor<internal::v1::WatchAccessResponse>* AccessHandler::WatchAccess(
    grpc::CallbackServerContext*, const internal::v1::WatchAccessRequest*) {
  return Watch<internal::v1::WatchAccessResponse>::Start(feed_, executor_, AccessWatcher(feed_, authenticator_));
}

}  // namespace riseml::api
