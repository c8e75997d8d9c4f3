#include "services/builder/image/registry_tokens.h"

#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/oci/reference.h"
#include "services/common/oci/registry_caller.h"

namespace riseml::builder {
namespace {

constexpr int kNumberBytes = 32;                                // of each of the two numbers of a P-256 signature
constexpr absl::Duration kClockDifference = absl::Seconds(60);  // between this machine and the registry's

template <auto Function>
struct Free {
  template <class T>
  void operator()(T* object) const {
    Function(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free>>;
using Cert = std::unique_ptr<X509, Free<X509_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>>;

Bio BioOf(absl::string_view text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string Der(X509* certificate) {
  std::string der(static_cast<std::size_t>(i2d_X509(certificate, nullptr)), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate, &out);
  return der;
}

std::string Part(const nlohmann::json& json) { return absl::WebSafeBase64Escape(json.dump()); }

}  // namespace

absl::StatusOr<RepositoryAccess> ParseScope(absl::string_view scope) {
  const std::vector<absl::string_view> parts = absl::StrSplit(scope, ':');
  if (parts.size() != 3 || parts[0] != "repository" || !oci::IsRepository(parts[1]))
    return Error(Reason::kInvalidArgument, "a scope is repository:NAME:ACTION,ACTION");
  RepositoryAccess access{std::string(parts[1]), {}};
  for (const absl::string_view action : absl::StrSplit(parts[2], ',')) {
    if (action != "pull" && action != "push" && action != "delete")
      return Error(Reason::kInvalidArgument, "the actions of a scope are pull, push and delete");
    access.actions.emplace(action);
  }
  return access;
}

std::vector<RepositoryAccess> AllowedToUser(absl::string_view user_uid, bool administrator,
                                            const std::vector<RepositoryAccess>& wanted) {
  std::vector<RepositoryAccess> allowed;
  for (RepositoryAccess access : wanted) {
    const bool own = !user_uid.empty() && absl::StartsWith(access.repository, absl::StrCat(user_uid, "/"));
    if (!own && !absl::StartsWith(access.repository, kSharedRepositories)) continue;
    access.actions.erase("delete");
    if (!own && !administrator) access.actions.erase("push");
    if (!access.actions.empty()) allowed.push_back(std::move(access));
  }
  return allowed;
}

std::vector<RepositoryAccess> Intersection(const std::vector<RepositoryAccess>& wanted,
                                           const std::vector<RepositoryAccess>& held) {
  std::vector<RepositoryAccess> both;
  for (const RepositoryAccess& one : wanted)
    for (const RepositoryAccess& own : held) {
      if (own.repository != one.repository || own.type != one.type) continue;
      RepositoryAccess allowed{one.repository, {}, one.type};
      std::ranges::set_intersection(one.actions, own.actions, std::inserter(allowed.actions, allowed.actions.end()));
      if (!allowed.actions.empty()) both.push_back(std::move(allowed));
    }
  return both;
}

void RegistryTokens::FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

RegistryTokens::RegistryTokens(evp_pkey_st* key, std::string certificate, const Clock& clock)
    : key_(key), certificate_(std::move(certificate)), clock_(clock) {}

RegistryTokens::~RegistryTokens() = default;

absl::StatusOr<std::unique_ptr<RegistryTokens>> RegistryTokens::Create(absl::string_view key_pem,
                                                                       absl::string_view certificate_pem,
                                                                       const Clock& clock) {
  const Cert certificate(PEM_read_bio_X509(BioOf(certificate_pem).get(), nullptr, nullptr, nullptr));
  std::unique_ptr<EVP_PKEY, FreeKey> key(PEM_read_bio_PrivateKey(BioOf(key_pem).get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr || key == nullptr || EVP_PKEY_get_bits(key.get()) != 256 ||
      X509_check_private_key(certificate.get(), key.get()) != 1)
    return Error(Reason::kInvalidArgument,
                 "the key for tokens of the registry is not a P-256 key with its certificate");
  return absl::WrapUnique(new RegistryTokens(key.release(), absl::Base64Escape(Der(certificate.get())), clock));
}

absl::StatusOr<std::string> RegistryTokens::Make(absl::string_view subject, const std::vector<RepositoryAccess>& access,
                                                 absl::Duration lifetime) const {
  const absl::Time now = clock_.Now();
  nlohmann::json list = nlohmann::json::array();
  for (const RepositoryAccess& one : access)
    list.push_back({{"type", one.type}, {"name", one.repository}, {"actions", one.actions}});
  const nlohmann::json header = {{"typ", "JWT"}, {"alg", "ES256"}, {"x5c", {certificate_}}};
  const nlohmann::json claims = {{"iss", kTokenIssuer},
                                 {"sub", std::string(subject)},
                                 {"aud", kTokenService},
                                 {"iat", absl::ToUnixSeconds(now)},
                                 {"nbf", absl::ToUnixSeconds(now - kClockDifference)},
                                 {"exp", absl::ToUnixSeconds(now + lifetime)},
                                 {"jti", NewUuid()},
                                 {"access", std::move(list)}};
  const std::string text = absl::StrCat(Part(header), ".", Part(claims));
  RISEML_ASSIGN_OR_RETURN(const std::string signature, Sign(text));
  return absl::StrCat(text, ".", absl::WebSafeBase64Escape(signature));
}

absl::StatusOr<std::vector<RepositoryAccess>> RegistryTokens::Verify(absl::string_view token) const {
  const absl::Status refused = absl::UnauthenticatedError("the password is not a valid token of this registry");
  const std::size_t end = token.rfind('.');
  std::string raw, text;
  if (end == absl::string_view::npos || !absl::WebSafeBase64Unescape(token.substr(end + 1), &raw) ||
      !IsSignature(token.substr(0, end), raw))
    return refused;
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  if (parts.size() != 3 || !absl::WebSafeBase64Unescape(parts[1], &text)) return refused;
  // We have signed this document, so it has the form that Make gives it.
  const nlohmann::json claims = nlohmann::json::parse(text, nullptr, false);
  if (claims.is_discarded() || clock_.Now() >= absl::FromUnixSeconds(claims.value("exp", std::int64_t{0})))
    return refused;
  std::vector<RepositoryAccess> access;
  for (const nlohmann::json& one : claims["access"])
    access.push_back(
        {one["name"].get<std::string>(), one["actions"].get<std::set<std::string>>(), one["type"].get<std::string>()});
  return access;
}

oci::IssueToken RegistryTokens::Issuer() const {
  return [this](const oci::Scopes& scopes) -> absl::StatusOr<std::string> {
    std::vector<RepositoryAccess> access;
    for (const std::string& scope : scopes) {
      if (scope == oci::kCatalogScope) {
        access.push_back({"catalog", {"*"}, "registry"});
        continue;
      }
      RISEML_ASSIGN_OR_RETURN(RepositoryAccess parsed, ParseScope(scope));
      access.push_back(std::move(parsed));
    }
    return Make(kTokenIssuer, access, oci::kIssuedTokenUse + kClockDifference);
  };
}

bool RegistryTokens::IsSignature(absl::string_view text, absl::string_view raw) const {
  if (raw.size() != 2 * kNumberBytes) return false;
  const auto* numbers = reinterpret_cast<const unsigned char*>(raw.data());
  const Signature signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(numbers, kNumberBytes, nullptr),
                 BN_bin2bn(numbers + kNumberBytes, kNumberBytes, nullptr));
  std::string der(static_cast<std::size_t>(i2d_ECDSA_SIG(signature.get(), nullptr)), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(signature.get(), &out);
  const Context context(EVP_MD_CTX_new());
  return EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(der.data()), der.size(),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
}

absl::StatusOr<std::string> RegistryTokens::Sign(absl::string_view text) const {
  const Context context(EVP_MD_CTX_new());
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t size = 0;
  const bool begun = EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
                     EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) == 1;
  std::string der(size, '\0');
  if (!begun ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(der.data()), &size, bytes, text.size()) != 1)
    return absl::InternalError("OpenSSL cannot sign a token of the registry");
  // OpenSSL writes both numbers as ASN.1, a token has them one after the other.
  const auto* in = reinterpret_cast<const unsigned char*>(der.data());
  const Signature numbers(d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(size)));
  std::string raw(2 * kNumberBytes, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(numbers.get()), out, kNumberBytes);
  BN_bn2binpad(ECDSA_SIG_get0_s(numbers.get()), out + kNumberBytes, kNumberBytes);
  return raw;
}

}  // namespace riseml::builder
