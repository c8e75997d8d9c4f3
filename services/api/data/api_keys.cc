#include "services/api/data/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/base/id.h"

namespace riseml::api {
namespace {

constexpr absl::string_view kKeyMark = "rml_";
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

}  // namespace riseml::api
