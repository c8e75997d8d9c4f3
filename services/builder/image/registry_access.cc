#include "services/builder/image/registry_access.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/status_macros.h"

namespace riseml::builder {

absl::StatusOr<Grant> GrantAccess(const TokenRequest& request, const RegistryTokens& tokens,
                                  rpc::Authenticator& users) {
  if (request.username.empty() && request.password.empty()) return Grant();
  if (request.username == kBuildUser || request.username == kNodeUser) {
    RISEML_ASSIGN_OR_RETURN(const std::vector<RepositoryAccess> held, tokens.Verify(request.password));
    return Grant{request.username, Intersection(request.access, held)};
  }
  RISEML_ASSIGN_OR_RETURN(const internal::v1::Caller caller, users.Authenticate(request.password));
  if (caller.kind() != internal::v1::Caller::USER || caller.user() != request.username)
    return absl::UnauthenticatedError(absl::StrCat("the password is not an API key of the user ", request.username));
  return Grant{request.username, AllowedToUser(caller.user_uid(), caller.role() == v1::User::ADMIN, request.access)};
}

}  // namespace riseml::builder
