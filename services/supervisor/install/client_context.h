// The invoking user's client configuration: how `riseml` finds and trusts this installation right after `riseml up`.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// Stores the pending administrator's key, if there is one, in a context of its own and makes that the current one;
// otherwise brings address and CA of a context of this installation up to date. Other contexts stay. Returns a sentence
// for the user, or nothing.
absl::StatusOr<std::string> UpdateClientContext(const Layout& layout, const config::v1::SupervisorState& state);

}  // namespace riseml::supervisor
