// Authorization of calls to one registry: Basic, or tokens of the registry's authorization server.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/oci/credentials.h"
#include "services/common/oci/http.h"

namespace riseml::oci {

// Scopes of one call, e.g. "repository:team/train:pull,push".
using Scopes = std::set<std::string>;

// Header "WWW-Authenticate" of a registry.
struct Challenge {
  std::string scheme;                             // "basic" or "bearer", in lower case
  std::map<std::string, std::string> parameters;  // names in lower case: realm, service, scope, error
};

// INVALID_ARGUMENT for a header without a known scheme.
absl::StatusOr<Challenge> ParseChallenge(absl::string_view header);

// Makes a token for these scopes without asking anybody; for the registry of the installation itself.
using IssueToken = std::function<absl::StatusOr<std::string>(const Scopes& scopes)>;
// Time for which a token that was issued is used. It must be valid for longer.
inline constexpr absl::Duration kIssuedTokenUse = absl::Minutes(4);

// Thread-safe.
class TokenSource {
 public:
  struct Options {
    std::string registry;                  // host as in URLs
    std::optional<Credential> credential;  // none: anonymous
    bool plain_http = false;               // the authorization server may be called without TLS as well
    IssueToken issue;                      // if set, makes all tokens; then there is no credential
    std::set<std::string> realm_hosts;     // authorization servers that may have the credential, besides the registry
  };
  // Both must outlive this object.
  TokenSource(HttpTransport& http, const Clock& clock, Options options);

  // Returns the value of "Authorization" for a call with these scopes, as far as it is known; empty: none.
  std::string Known(const Scopes& scopes);

  // Returns the value of "Authorization" after the registry has answered 401 with `challenge`. UNAUTHENTICATED when the
  // credential is wrong or there is none; PERMISSION_DENIED when the registry asks to send the credential to a host
  // that may not have it.
  absl::StatusOr<std::string> Answer(const Scopes& scopes, const Challenge& challenge, const std::stop_token& stop);

 private:
  struct Token {
    std::string value;
    absl::Time expiry;
  };
  absl::StatusOr<std::string> Issue(const Scopes& scopes);
  std::string Remember(const Scopes& scopes, Token token);
  absl::StatusOr<Token> Fetch(const Scopes& scopes, const Challenge& challenge, const std::stop_token& stop);
  absl::StatusOr<bool> MaySendCredential(const Url& realm) const;

  HttpTransport& http_;
  const Clock& clock_;
  const Options options_;
  Mutex mu_;
  bool basic_ ABSL_GUARDED_BY(mu_) = false;  // the registry takes Basic
  std::map<Scopes, Token> tokens_ ABSL_GUARDED_BY(mu_);
};

}  // namespace riseml::oci
