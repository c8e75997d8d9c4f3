#include "services/builder/environment/sha256.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace riseml::builder {

std::string Sha256Hex(absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

// "install", "pip install x" as "7:install13:pip install x".
void AddField(std::string& text, absl::string_view name, absl::string_view value) {
  absl::StrAppend(&text, name.size(), ":", name, value.size(), ":", value);
}

}  // namespace riseml::builder
