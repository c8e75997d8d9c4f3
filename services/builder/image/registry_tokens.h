// Tokens that let their bearer into some repositories of the installation's registry: JSON Web Tokens as the
// "Token Authentication Implementation" of Docker's registry describes them, signed with ES256.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/oci/token_source.h"

struct evp_pkey_st;

namespace riseml::builder {

// Names that the registry's configuration has too (auth.token.issuer and auth.token.service).
inline constexpr char kTokenIssuer[] = "riseml-builder";
inline constexpr char kTokenService[] = "riseml-registry";

// Actions that a bearer may take in a repository.
struct RepositoryAccess {
  std::string repository;
  std::set<std::string> actions;    // of "pull", "push", "delete"
  std::string type = "repository";  // or "registry": the repository is "catalog", its action "*"
  friend bool operator==(const RepositoryAccess&, const RepositoryAccess&) = default;
};

// Parses "repository:NAME:ACTION,ACTION", the scope that a registry asks for. INVALID_ARGUMENT for other kinds,
// invalid names and unknown actions.
absl::StatusOr<RepositoryAccess> ParseScope(absl::string_view scope);

// Returns the part of `wanted` that `held` allows, in the order of `wanted`.
std::vector<RepositoryAccess> Intersection(const std::vector<RepositoryAccess>& wanted,
                                           const std::vector<RepositoryAccess>& held);

// Repositories of base images that all users may pull and administrators may push.
inline constexpr absl::string_view kSharedRepositories = "library/";

// Returns the part of `wanted` that a user has a right to: pull and push below the user's UUID, pull of shared base
// images, and for an administrator their push. Nothing is left of other repositories; nobody may delete.
std::vector<RepositoryAccess> AllowedToUser(absl::string_view user_uid, bool administrator,
                                            const std::vector<RepositoryAccess>& wanted);

// Thread-safe.
class RegistryTokens {
 public:
  // `certificate_pem` is that of `key_pem` (P-256); the registry trusts the authority that signed it. INVALID_ARGUMENT
  // for others. `clock` must outlive this object.
  static absl::StatusOr<std::unique_ptr<RegistryTokens>> Create(absl::string_view key_pem,
                                                                absl::string_view certificate_pem, const Clock& clock);
  ~RegistryTokens();

  // Returns a token that is valid for `lifetime` from now on.
  absl::StatusOr<std::string> Make(absl::string_view subject, const std::vector<RepositoryAccess>& access,
                                   absl::Duration lifetime) const;

  // Returns what a token of this key lets its bearer do. UNAUTHENTICATED for other tokens, and after its time.
  absl::StatusOr<std::vector<RepositoryAccess>> Verify(absl::string_view token) const;

  // Makes tokens for builder's own calls, which may do everything. This object must outlive it.
  oci::IssueToken Issuer() const;

 private:
  RegistryTokens(evp_pkey_st* key, std::string certificate, const Clock& clock);
  absl::StatusOr<std::string> Sign(absl::string_view text) const;
  bool IsSignature(absl::string_view text, absl::string_view raw) const;

  struct FreeKey {
    void operator()(evp_pkey_st* key) const;
  };
  const std::unique_ptr<evp_pkey_st, FreeKey> key_;
  const std::string certificate_;  // base64 of its DER form
  const Clock& clock_;
};

}  // namespace riseml::builder
