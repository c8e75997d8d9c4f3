// Decides what clients of the installation's registry may do.
#pragma once

#include "absl/status/statusor.h"
#include "services/builder/image/registry_tokens.h"
#include "services/builder/image/token_endpoint.h"
#include "services/builder/image/token_request.h"
#include "services/common/rpc/server.h"

namespace riseml::builder {

// Names by which builds and nodes show a token of builder as their password.
inline constexpr char kBuildUser[] = "build";
inline constexpr char kNodeUser[] = "node";

// Returns the part of a request that its sender has a right to. A build or a node has what its token says; a user, who
// shows an API key, what AllowedToUser says. Nothing is granted to nobody, and nothing to jobs, whose
// tokens api knows too. UNAUTHENTICATED for wrong passwords, and for a key of another user than the one named;
// UNAVAILABLE while api is away.
absl::StatusOr<Grant> GrantAccess(const TokenRequest& request, const RegistryTokens& tokens, rpc::Authenticator& users);

}  // namespace riseml::builder
