// Choices that an installation makes once: its id and its ports. They are kept in supervisor.json, since files of
// running jobs contain them too.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// NOT_FOUND before the first start.
absl::StatusOr<config::v1::SupervisorState> LoadState(const Layout& layout);
absl::Status SaveState(const Layout& layout, const config::v1::SupervisorState& state);

// Fills in the missing fields of `state`: the id, a port for each listener that has one, and the directory of sockets.
// Picks ports that are free now. Makes the directory.
absl::Status CompleteState(const Layout& layout, config::v1::SupervisorState* state);

// Port of a listener; 0: it has none.
int PortOf(const config::v1::SupervisorState& state, absl::string_view listener);

// "127.0.0.1:PORT" of a listener that has a port, e.g. "api.user".
std::string AddressOf(const config::v1::SupervisorState& state, absl::string_view listener);

// "unix:PATH" of the socket by which processes of the installation reach a listener.
std::string SocketAddressOf(const config::v1::SupervisorState& state, absl::string_view listener);

}  // namespace riseml::supervisor
