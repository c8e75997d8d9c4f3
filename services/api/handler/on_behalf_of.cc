#include "services/api/handler/on_behalf_of.h"

#include "services/common/base/status_macros.h"

namespace riseml::api {

absl::StatusOr<rpc::Call> OnBehalfOf(rpc::Call call, rpc::Authenticator& authenticator, const std::string& credential) {
  RISEML_ASSIGN_OR_RETURN(call.caller, authenticator.Authenticate(credential));
  call.credential = credential;
  return call;
}

}  // namespace riseml::api
