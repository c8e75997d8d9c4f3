// Certificates of an installation: one CA, one certificate per service (ECDSA P-256).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace riseml::rpc {

struct Certificate {
  std::string certificate_pem;
  std::string key_pem;  // PKCS #8; a secret
};

// A self-signed CA, valid from a day before `now` for ten years.
absl::StatusOr<Certificate> MakeCa(absl::string_view common_name, absl::Time now);

// A certificate for server and client use with subject alternative names localhost, 127.0.0.1 and ::1, signed by `ca`.
// Valid as long as the CA may be. The common name is the service's identity, e.g. "scheduler".
absl::StatusOr<Certificate> IssueCertificate(const Certificate& ca, absl::string_view common_name, absl::Time now);

// Writes a CA and certificates `<name>.crt`, `<name>.key` (mode 0600) and `ca.crt` into a directory; for installations
// and tests.
absl::Status WriteCertificates(const std::string& dir, const std::vector<std::string>& names, absl::Time now);

}  // namespace riseml::rpc
