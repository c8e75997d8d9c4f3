// Requests for tokens of the registry, as clients of registries send them. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/builder/image/registry_tokens.h"

namespace riseml::builder {

struct TokenRequest {
  std::string username, password;        // of the header "Authorization: Basic …"; both empty: none
  std::vector<RepositoryAccess> access;  // asked for; repositories in their order, each once
};

// Parses the target of a GET, e.g. "/token?service=riseml-registry&scope=repository:ann/digits:pull", and the value of
// "Authorization". Scopes of other kinds are left out. NOT_FOUND for another path; INVALID_ARGUMENT for another
// service, for text that cannot be decoded, and for more than 20 scopes; UNAUTHENTICATED for another kind of
// authorization.
absl::StatusOr<TokenRequest> ParseTokenRequest(absl::string_view target, absl::string_view authorization);

}  // namespace riseml::builder
