// Choices that an installation made once: its id and its ports. Kept in supervisor.json, since files of running jobs
// name them too.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/layout.h"

namespace riseml::supervisor {

// NOT_FOUND before the first start.
absl::StatusOr<config::v1::SupervisorState> LoadState(const Layout& layout);
absl::Status SaveState(const Layout& layout, const config::v1::SupervisorState& state);

// Fills in whatever `state` does not name yet: id, a port for each listener of every service, the database's socket
// directory. The system picks ports that are free now. Makes the socket directory.
absl::Status CompleteState(const Layout& layout, config::v1::SupervisorState* state);

// "127.0.0.1:PORT" of a listener, e.g. "api.user".
std::string AddressOf(const config::v1::SupervisorState& state, absl::string_view listener);

// UNAVAILABLE when something listens on the loopback port; names it where /proc tells.
absl::Status CheckPortFree(const std::string& listener, int port);

}  // namespace riseml::supervisor
