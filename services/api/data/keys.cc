#include "services/api/data/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/common/base/id.h"

namespace riseml::api {
namespace {

constexpr absl::string_view kKeyMark = "rml_";
constexpr absl::string_view kTokenMark = "rmj_";
constexpr std::size_t kIdSize = 10, kSecretSize = 43, kChecksumSize = 6;

std::string Sha256(absl::string_view text) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

// Lets a scanner for leaked secrets tell a key from a random word.
std::string Checksum(absl::string_view id_and_secret) {
  return absl::BytesToHexString(Sha256(id_and_secret)).substr(0, kChecksumSize);
}

std::string Mac(absl::string_view key, absl::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out, &size);
  return std::string(reinterpret_cast<const char*>(out), size);
}

}  // namespace

ApiKey MakeApiKey() {
  ApiKey key;
  key.id = absl::BytesToHexString(RandomBytes(kIdSize / 2));
  std::string secret = absl::WebSafeBase64Escape(RandomBytes(32));
  secret.resize(kSecretSize);
  const std::string body = absl::StrCat(key.id, secret);
  key.text = absl::StrCat(kKeyMark, body, Checksum(body));
  key.secret_hash = Sha256(secret);
  return key;
}

std::optional<ApiKey> ParseApiKey(absl::string_view text) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, kKeyMark) || rest.size() != kIdSize + kSecretSize + kChecksumSize)
    return std::nullopt;
  const absl::string_view body = rest.substr(0, kIdSize + kSecretSize);
  if (Checksum(body) != rest.substr(body.size())) return std::nullopt;
  return ApiKey{std::string(text), std::string(body.substr(0, kIdSize)), Sha256(body.substr(kIdSize))};
}

std::string KeyPrefix(absl::string_view id) { return absl::StrCat(kKeyMark, id); }

bool EqualSecrets(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string AttemptTokens::Make(const AttemptId& id) const {
  const std::string body = absl::StrCat(absl::StrReplaceAll(id.job_uid, {{"-", ""}}), ".", id.attempt);
  return absl::StrCat(kTokenMark, body, ".", absl::BytesToHexString(Mac(key_, body)));
}

std::optional<AttemptId> AttemptTokens::Verify(absl::string_view token) const {
  if (!absl::ConsumePrefix(&token, kTokenMark)) return std::nullopt;
  const std::vector<std::string> parts = absl::StrSplit(token, '.');
  AttemptId id;
  if (parts.size() != 3 || parts[0].size() != 32 || !absl::SimpleAtoi(parts[1], &id.attempt)) return std::nullopt;
  const std::string& hex = parts[0];
  id.job_uid = absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-", hex.substr(16, 4),
                            "-", hex.substr(20));
  if (!IsUuid(id.job_uid) || !EqualSecrets(Make(id), absl::StrCat(kTokenMark, token))) return std::nullopt;
  return id;
}

}  // namespace riseml::api
