#include "services/common/rpc/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status_macros.h"

namespace riseml::rpc {
namespace {

struct Free {
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(BIO* p) const { BIO_free_all(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Cert = std::unique_ptr<X509, Free>;
using Bio = std::unique_ptr<BIO, Free>;

absl::Status OpenSslError(absl::string_view doing) {
  return absl::InternalError(absl::StrCat(doing, ": OpenSSL failed"));
}

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, size);
}

absl::StatusOr<Certificate> ToPem(X509* cert, EVP_PKEY* key) {
  const Bio cert_bio(BIO_new(BIO_s_mem())), key_bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(cert_bio.get(), cert) != 1 ||
      PEM_write_bio_PrivateKey(key_bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return OpenSslError("write certificate");
  return Certificate{Text(cert_bio.get()), Text(key_bio.get())};
}

bool AddExtension(X509* cert, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension != nullptr && X509_add_ext(cert, extension.get(), -1) == 1;
}

// A certificate with subject and validity, not signed yet.
Cert NewCertificate(absl::string_view common_name, EVP_PKEY* key, absl::Time now) {
  Cert cert(X509_new());
  if (cert == nullptr || X509_set_version(cert.get(), X509_VERSION_3) != 1) return nullptr;
  const std::string serial = RandomBytes(16);
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 15, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert.get()));
  BN_free(number);
  ASN1_TIME_set(X509_getm_notBefore(cert.get()), absl::ToTimeT(now - absl::Hours(24)));
  ASN1_TIME_set(X509_getm_notAfter(cert.get()), absl::ToTimeT(now + absl::Hours(24 * 3650)));
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.data()),
                             static_cast<int>(common_name.size()), -1, 0);
  if (X509_set_pubkey(cert.get(), key) != 1) return nullptr;
  return cert;
}

}  // namespace

absl::StatusOr<Certificate> MakeCa(absl::string_view common_name, absl::Time now) {
  const Key key(EVP_EC_gen("P-256"));
  const Cert cert = key == nullptr ? nullptr : NewCertificate(common_name, key.get(), now);
  if (cert == nullptr || X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get())) != 1 ||
      !AddExtension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(cert.get(), cert.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(cert.get(), cert.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(cert.get(), key.get(), EVP_sha256()) == 0)
    return OpenSslError("make CA");
  return ToPem(cert.get(), key.get());
}

absl::StatusOr<Certificate> IssueCertificate(const Certificate& ca, absl::string_view common_name, absl::Time now) {
  const Bio ca_cert_bio(BIO_new_mem_buf(ca.certificate_pem.data(), static_cast<int>(ca.certificate_pem.size())));
  const Bio ca_key_bio(BIO_new_mem_buf(ca.key_pem.data(), static_cast<int>(ca.key_pem.size())));
  const Cert ca_cert(PEM_read_bio_X509(ca_cert_bio.get(), nullptr, nullptr, nullptr));
  const Key ca_key(PEM_read_bio_PrivateKey(ca_key_bio.get(), nullptr, nullptr, nullptr));
  const Key key(EVP_EC_gen("P-256"));
  if (ca_cert == nullptr || ca_key == nullptr || key == nullptr) return OpenSslError("read CA");
  const Cert cert = NewCertificate(common_name, key.get(), now);
  if (cert == nullptr || X509_set_issuer_name(cert.get(), X509_get_subject_name(ca_cert.get())) != 1 ||
      !AddExtension(cert.get(), ca_cert.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(cert.get(), ca_cert.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(cert.get(), ca_cert.get(), NID_ext_key_usage, "serverAuth,clientAuth") ||
      !AddExtension(cert.get(), ca_cert.get(), NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") ||
      !AddExtension(cert.get(), ca_cert.get(), NID_authority_key_identifier, "keyid") ||
      X509_sign(cert.get(), ca_key.get(), EVP_sha256()) == 0)
    return OpenSslError(absl::StrCat("issue certificate for ", common_name));
  return ToPem(cert.get(), key.get());
}

absl::Status WriteCertificates(const std::string& dir, const std::vector<std::string>& names, absl::Time now) {
  RISEML_ASSIGN_OR_RETURN(const Certificate ca, MakeCa("RiseML CA", now));
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(dir, "/ca.key"), ca.key_pem, 0600));
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(dir, "/ca.crt"), ca.certificate_pem, 0644));
  for (const std::string& name : names) {
    RISEML_ASSIGN_OR_RETURN(const Certificate issued, IssueCertificate(ca, name, now));
    RISEML_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(dir, "/", name, ".key"), issued.key_pem, 0600));
    RISEML_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(dir, "/", name, ".crt"), issued.certificate_pem, 0644));
  }
  return absl::OkStatus();
}

}  // namespace riseml::rpc
