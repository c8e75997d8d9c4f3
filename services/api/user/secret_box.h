// Encryption of secrets at rest: AES-256-GCM. Pure but for randomness.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace riseml::api {

// Thread-safe.
class SecretBox {
 public:
  // `key`: at least 32 bytes; the cipher's key is derived from it.
  explicit SecretBox(absl::string_view key);

  // Returns format version, nonce, ciphertext and tag. `owner` identifies the secret's owner. It is not stored, but
  // Open needs the same value, so that a row cannot be moved to another owner.
  std::string Seal(absl::string_view value, absl::string_view owner) const;

  // Returns DATA_LOSS if the text was not made by Seal with the same key and owner.
  absl::StatusOr<std::string> Open(absl::string_view sealed, absl::string_view owner) const;

 private:
  std::string key_;  // 32 bytes
};

}  // namespace riseml::api
