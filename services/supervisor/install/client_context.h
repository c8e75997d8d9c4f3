// The invoking user's client configuration: how `riseml` finds and trusts this installation right after `riseml up`.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// If an administrator's key is pending, stores it in a context of its own and makes that the current one. Otherwise
// updates address and CA of an existing context of this installation. Other contexts stay. Returns a sentence for the
// user, or nothing.
absl::StatusOr<std::string> UpdateClientContext(const Layout& layout, const config::v1::SupervisorState& state);

}  // namespace riseml::supervisor
