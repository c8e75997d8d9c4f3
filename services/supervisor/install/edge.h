// Edge of an installation: HAProxy, which serves the user ports and forwards calls to the services (adr/0014).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "riseml/config/v1/supervisor.pb.h"
#include "services/supervisor/install/layout.h"

namespace riseml::supervisor {

// Method that the edge answers itself, on each user port.
inline constexpr char kEdgeCheckMethod[] = "/riseml.edge/Check";

// Message for users if HAProxy is not installed.
inline constexpr char kNoEdge[] =
    "HAProxy is not installed: whoever reaches the ports of RiseML can make its services take memory; install the "
    "package haproxy, then run `riseml down` and `riseml up`.";

// Path of HAProxy; empty when it is not installed.
std::string FindHaproxy();

std::vector<std::string> EdgeCommand(const Layout& layout, const std::string& haproxy);

// Variable that tells the edge the descriptor of a listener's socket, e.g. "RISEML_SOCKET_API_USER" for "api.user".
std::string SocketVariable(absl::string_view listener);

// Text of its configuration. `max_files` limits the descriptors of a process, and thereby its connections.
std::string MakeEdgeConfig(const Layout& layout, const config::v1::SupervisorState& state, std::int64_t max_files);

}  // namespace riseml::supervisor
