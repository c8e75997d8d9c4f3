// Certificates and keys of an installation, made once and kept.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/supervisor/layout.h"

namespace riseml::supervisor {

// Makes the CA and a certificate for each service and the supervisor, as far as they are missing. Keys have mode 0600.
absl::Status EnsureCertificates(const Layout& layout, absl::Time now);

// Makes the key that attempt tokens are derived from.
absl::Status EnsureTokenKey(const Layout& layout);

}  // namespace riseml::supervisor
