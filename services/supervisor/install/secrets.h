// Certificates and keys of an installation, made once and kept.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// Makes the missing ones of the CA and the certificates of each service, the edge and the supervisor. Keys have mode
// 0600.
absl::Status EnsureCertificates(const Layout& layout, absl::Time now);

// Makes the missing ones of the authority of the registry's tokens and of the key that builder signs them with. The
// authority signs nothing else, and the installation's CA does not sign tokens (adr/0018).
absl::Status EnsureTokenCertificates(const Layout& layout, absl::Time now);

// Makes the key that attempt tokens are derived from and the key that encrypts users' secrets, if they are missing.
absl::Status EnsureKeys(const Layout& layout);

}  // namespace riseml::supervisor
