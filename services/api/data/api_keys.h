// Makes and parses API keys of users. Pure except for randomness.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

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

}  // namespace riseml::api
