#include "services/api/data/attempt_tokens.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "services/api/data/api_keys.h"

namespace riseml::api {
namespace {

constexpr absl::string_view kTokenMark = "rmj_";

std::string Mac(absl::string_view key, absl::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out, &size);
  return std::string(reinterpret_cast<const char*>(out), size);
}

}  // namespace

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
