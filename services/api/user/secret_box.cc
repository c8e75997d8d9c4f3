#include "services/api/user/secret_box.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "services/common/base/id.h"

namespace riseml::api {
namespace {

constexpr char kFormat = 1;
constexpr std::size_t kNonceBytes = 12, kTagBytes = 16, kKeyBytes = 32;
constexpr absl::string_view kPurpose = "riseml secrets at rest, 1";

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const unsigned char* Bytes(absl::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

absl::Status Damaged() {
  return absl::DataLossError(
      "the stored secret cannot be decrypted; was the key file of the installation replaced? "
      "Set the secret again");
}

}  // namespace

SecretBox::SecretBox(absl::string_view key) : key_(kKeyBytes, '\0') {
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), Bytes(kPurpose), kPurpose.size(), Bytes(key_), &size);
}

std::string SecretBox::Seal(absl::string_view value, absl::string_view owner) const {
  const std::string nonce = RandomBytes(kNonceBytes);
  std::string text(value.size(), '\0'), tag(kTagBytes, '\0');
  int size = 0;
  const Cipher cipher(EVP_CIPHER_CTX_new());
  EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, Bytes(absl::string_view(key_)), Bytes(nonce));
  EVP_EncryptUpdate(cipher.get(), nullptr, &size, Bytes(owner), static_cast<int>(owner.size()));
  EVP_EncryptUpdate(cipher.get(), Bytes(text), &size, Bytes(value), static_cast<int>(value.size()));
  EVP_EncryptFinal_ex(cipher.get(), nullptr, &size);
  EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag.data());
  return absl::StrCat(absl::string_view(&kFormat, 1), nonce, text, tag);
}

absl::StatusOr<std::string> SecretBox::Open(absl::string_view sealed, absl::string_view owner) const {
  if (sealed.size() < 1 + kNonceBytes + kTagBytes || sealed[0] != kFormat) return Damaged();
  const absl::string_view nonce = sealed.substr(1, kNonceBytes);
  const absl::string_view text = sealed.substr(1 + kNonceBytes, sealed.size() - 1 - kNonceBytes - kTagBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  std::string value(text.size(), '\0');
  int size = 0;
  const Cipher cipher(EVP_CIPHER_CTX_new());
  EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, Bytes(absl::string_view(key_)), Bytes(nonce));
  EVP_DecryptUpdate(cipher.get(), nullptr, &size, Bytes(owner), static_cast<int>(owner.size()));
  EVP_DecryptUpdate(cipher.get(), Bytes(value), &size, Bytes(text), static_cast<int>(text.size()));
  EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data());
  if (EVP_DecryptFinal_ex(cipher.get(), nullptr, &size) != 1) return Damaged();
  return value;
}

}  // namespace riseml::api
