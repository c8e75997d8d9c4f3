// Calls of one registry: authorization, redirects, retries, and errors in words.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/oci/credentials.h"
#include "services/common/oci/http.h"
#include "services/common/oci/token_source.h"

namespace riseml::oci {

struct RegistryOptions {
  std::string host;         // with its port if it is not 443; docker.io means registry-1.docker.io
  bool plain_http = false;  // without TLS
  std::optional<Credential> credential;
  IssueToken issue;                   // as in TokenSource::Options
  std::set<std::string> realm_hosts;  // as in TokenSource::Options
  int tries = 5;                      // of a call that fails for a reason that may pass
  absl::Duration first_pause = absl::Milliseconds(200);
  absl::Duration longest_pause = absl::Seconds(10);  // if the registry asks for more with Retry-After, there is no try
  std::int64_t chunk_bytes = 0;  // an upload larger than this goes in pieces of this size; 0: always in one
};

struct RegistryCall {
  std::string what;                         // for errors, e.g. "read the manifest team/train:2"
  Scopes scopes;                            // that it needs
  const std::int64_t* passed_on = nullptr;  // bytes that a sink has had: if there are any, there is no further try
};

// Scope of a call that reads, or reads and writes, a repository.
std::string PullScope(absl::string_view repository);
std::string PushScope(absl::string_view repository);
// Scope of the list of all repositories.
inline constexpr char kCatalogScope[] = "registry:catalog:*";

// Thread-safe.
class RegistryCaller {
 public:
  RegistryCaller(HttpTransport& http, const Clock& clock, RegistryOptions options);

  const RegistryOptions& options() const { return options_; }

  // URL of a resource, e.g. "manifests/latest", of a repository; without one, of the registry itself.
  std::string UrlOf(absl::string_view repository, absl::string_view resource) const;

  // Returns the answer, which has any status but 401, 403, 429 and those above 499. Redirects of GET and HEAD are
  // followed, without the authorization if they lead to another host.
  absl::StatusOr<HttpAnswer> Perform(const RegistryCall& call, const HttpRequest& request);

  // Returns the absolute URL for the header "Location" of an answer to `base`, on the same host.
  absl::StatusOr<std::string> Locate(const RegistryCall& call, const std::string& base,
                                     const std::string& location) const;

  // Error for an answer with an unexpected status, with what the registry says about it. NOT_FOUND for 404.
  absl::Status Failed(const RegistryCall& call, const HttpAnswer& answer) const;
  absl::Status Broken(const RegistryCall& call, absl::string_view why) const;

 private:
  absl::StatusOr<HttpAnswer> PerformOnce(const RegistryCall& call, const HttpRequest& request);
  absl::StatusOr<HttpAnswer> Authorized(const RegistryCall& call, HttpRequest request);
  absl::Status Checked(const RegistryCall& call, const HttpAnswer& answer) const;

  HttpTransport& http_;
  const RegistryOptions options_;
  const std::string origin_;  // "https://host"
  TokenSource tokens_;
};

}  // namespace riseml::oci
