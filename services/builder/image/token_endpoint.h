// Gives tokens of the registry to its clients (podman, buildah, skopeo, docker) over HTTP: the "realm" that the
// registry sends them to.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/builder/image/registry_tokens.h"
#include "services/builder/image/token_request.h"

namespace riseml::builder {

// Returns what the sender of a request may do of what it asks for, and who it is. UNAUTHENTICATED for a wrong password.
// May block.
struct Grant {
  std::string subject;
  std::vector<RepositoryAccess> access;
};
using Granter = std::function<absl::StatusOr<Grant>(const TokenRequest& request)>;

struct TokenEndpointOptions {
  std::string address = "127.0.0.1:0";            // an IP address and a port; 0: the system chooses one
  int most_connections = 256;                     // further ones are closed at once
  absl::Duration time_limit = absl::Seconds(10);  // for a request to arrive, and for its answer to be read
  absl::Duration token_lifetime = absl::Minutes(5);
};

class TokenEndpoint {
 public:
  // Starts to serve. `tokens` must outlive this object. UNAVAILABLE when the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<TokenEndpoint>> Start(const TokenEndpointOptions& options,
                                                              const RegistryTokens& tokens, Granter granter);
  virtual ~TokenEndpoint() = default;  // closes all connections
  virtual int port() const = 0;
};

}  // namespace riseml::builder
