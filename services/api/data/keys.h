// Makes, parses and verifies API keys of users and tokens of attempts. Pure except for randomness.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "services/common/base/id.h"

namespace riseml::api {

// An API key "rml_" + id (10) + secret (43, 256 random bits) + checksum (6). Only id and the secret's SHA-256 are
// stored.
struct ApiKey {
  std::string text;         // the whole key, shown once
  std::string id;           // 10 characters, public
  std::string secret_hash;  // 32 bytes
};

ApiKey MakeApiKey();

// Parses a key; absent if the text is not a key (wrong prefix, length, alphabet or checksum).
std::optional<ApiKey> ParseApiKey(absl::string_view text);

// Returns the part of a key that people may see: "rml_" + id.
std::string KeyPrefix(absl::string_view id);

// Compares in time that does not depend on where the texts differ.
bool EqualSecrets(absl::string_view a, absl::string_view b);

// Tokens of attempts: "rmj_" + job, attempt and an HMAC-SHA256 over both. Nothing is stored: the key makes and verifies
// them. The caller checks whether the attempt is still live.
class AttemptTokens {
 public:
  explicit AttemptTokens(std::string key) : key_(std::move(key)) {}  // at least 32 bytes

  std::string Make(const AttemptId& id) const;
  std::optional<AttemptId> Verify(absl::string_view token) const;

 private:
  std::string key_;
};

}  // namespace riseml::api
