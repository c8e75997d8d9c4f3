// Calls that a service makes for the owner of a credential.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/server.h"

namespace riseml::api {

// Returns the call as if the owner of the credential had made it. UNAUTHENTICATED if the credential is not valid.
absl::StatusOr<rpc::Call> OnBehalfOf(rpc::Call call, rpc::Authenticator& authenticator, const std::string& credential);

}  // namespace riseml::api
