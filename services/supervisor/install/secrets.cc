#include "services/supervisor/install/secrets.h"

#include <string>
#include <vector>

#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/certificates.h"
#include "services/supervisor/install/services.h"

namespace riseml::supervisor {
namespace {

constexpr int kKeyBytes = 32;
constexpr std::int64_t kMaxPemBytes = 1 << 20;

// Writes the key first, so that every existing certificate has its key.
absl::Status Save(const Layout& layout, absl::string_view name, const rpc::Certificate& certificate) {
  const std::string stem = absl::StrCat(layout.Certs(), "/", name);
  RISEML_RETURN_IF_ERROR(WriteFileAtomically(stem + ".key", certificate.key_pem, 0600));
  return WriteFileAtomically(stem + ".crt", certificate.certificate_pem, 0600);
}

absl::StatusOr<rpc::Certificate> LoadOrMakeCa(const Layout& layout, absl::string_view name,
                                              absl::string_view common_name, absl::Time now) {
  const std::string stem = absl::StrCat(layout.Certs(), "/", name);
  rpc::Certificate ca;
  if (!FileExists(stem + ".crt")) {
    RISEML_ASSIGN_OR_RETURN(ca, rpc::MakeCa(common_name, now));
    RISEML_RETURN_IF_ERROR(Save(layout, name, ca));
    return ca;
  }
  RISEML_ASSIGN_OR_RETURN(ca.certificate_pem, ReadFile(stem + ".crt", kMaxPemBytes));
  RISEML_ASSIGN_OR_RETURN(ca.key_pem, ReadFile(stem + ".key", kMaxPemBytes));
  return ca;
}

absl::Status EnsureCertificate(const Layout& layout, const rpc::Certificate& ca, absl::string_view name,
                               absl::Time now) {
  if (FileExists(absl::StrCat(layout.Certs(), "/", name, ".crt"))) return absl::OkStatus();
  RISEML_ASSIGN_OR_RETURN(const rpc::Certificate certificate, rpc::IssueCertificate(ca, name, now));
  return Save(layout, name, certificate);
}

}  // namespace

absl::Status EnsureCertificates(const Layout& layout, absl::Time now) {
  std::vector<absl::string_view> names = {kSupervisor, kEdge};
  for (const ServiceInfo& service : kServices) names.push_back(service.name);
  RISEML_ASSIGN_OR_RETURN(const rpc::Certificate ca, LoadOrMakeCa(layout, "ca", "RiseML local CA", now));
  for (absl::string_view name : names) RISEML_RETURN_IF_ERROR(EnsureCertificate(layout, ca, name, now));
  return absl::OkStatus();
}

absl::Status EnsureTokenCertificates(const Layout& layout, absl::Time now) {
  RISEML_ASSIGN_OR_RETURN(const rpc::Certificate ca,
                          LoadOrMakeCa(layout, kTokenAuthority, "RiseML registry tokens", now));
  return EnsureCertificate(layout, ca, kTokenKeys, now);
}

absl::Status EnsureKeys(const Layout& layout) {
  for (const std::string& path : {layout.TokenKey(), layout.SecretKey()}) {
    if (FileExists(path)) continue;
    RISEML_RETURN_IF_ERROR(WriteFileAtomically(path, RandomBytes(kKeyBytes), 0600));
  }
  return absl::OkStatus();
}

}  // namespace riseml::supervisor
