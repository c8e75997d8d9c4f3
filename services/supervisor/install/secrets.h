// Certificates and keys of an installation, made once and kept.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// Makes the CA and a certificate for each service and the supervisor, as far as they are missing. Keys have mode 0600.
absl::Status EnsureCertificates(const Layout& layout, absl::Time now);

// Makes the keys that attempt tokens are derived from and that users' secrets are encrypted with, as far as they are
// missing.
absl::Status EnsureKeys(const Layout& layout);

}  // namespace riseml::supervisor
