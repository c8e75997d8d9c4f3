// AccessService on the wire, for services.
#pragma once

#include "riseml/internal/v1/access.grpc.pb.h"
#include "services/api/code/code_store.h"
#include "services/api/data/watch_cache.h"
#include "services/api/user/authenticator.h"
#include "services/common/base/threads/executor.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class AccessHandler final
    : public internal::v1::AccessService::WithCallbackMethod_WatchAccess<internal::v1::AccessService::Service> {
 public:
  AccessHandler(Authenticator& authenticator, CodeStore& code, WatchCache& feed, Executor& executor)
      : authenticator_(authenticator), code_(code), feed_(feed), executor_(executor) {}  // all outlive this
  grpc::Status Authenticate(grpc::ServerContext*, const internal::v1::AuthenticateRequest*,
                            internal::v1::Caller*) override;
  grpc::Status Check(grpc::ServerContext*, const internal::v1::CheckRequest*, internal::v1::CheckResponse*) override;
  grpc::ServerWriteReactor<internal::v1::WatchAccessResponse>* WatchAccess(
      grpc::CallbackServerContext*, const internal::v1::WatchAccessRequest*) override;

 private:
  Authenticator& authenticator_;
  CodeStore& code_;
  WatchCache& feed_;
  Executor& executor_;
};

}  // namespace riseml::api
