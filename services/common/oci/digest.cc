#include "services/common/oci/digest.h"

#include <openssl/evp.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace riseml::oci {
namespace {

constexpr absl::string_view kAlgorithm = "sha256:";
constexpr std::size_t kHexDigits = 64;

}  // namespace

bool IsDigest(absl::string_view text) {
  return text.size() == kAlgorithm.size() + kHexDigits && absl::StartsWith(text, kAlgorithm) &&
         std::all_of(text.begin() + kAlgorithm.size(), text.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
         });
}

void Digester::FreeContext::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Digester::Digester() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }

void Digester::Update(absl::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }

std::string Digester::Finish() {
  std::string binary(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(binary.data()), &size);
  binary.resize(size);
  return absl::StrCat(kAlgorithm, absl::BytesToHexString(binary));
}

std::string DigestOf(absl::string_view bytes) {
  Digester digester;
  digester.Update(bytes);
  return digester.Finish();
}

}  // namespace riseml::oci
