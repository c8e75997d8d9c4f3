// Connects ports inside of a container to the same ports of the machine.
//
// A socket stays in the network namespace in which it was made. `run` makes listening sockets in the container and
// passes them to a forwarder, a process of the machine that accepts connections there and connects them to the
// machine's ports. No other port of the machine becomes reachable, nobody needs a privilege in a namespace of somebody
// else, and the ports are open before the first command runs.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace riseml::agent {

// Descriptor by which node passes the Unix socket to the forwarder.
inline constexpr int kForwarderSocket = 3;

// Listens on 127.0.0.1 at each port, and passes the sockets through the Unix socket `forwarder`. Called by `run`.
absl::Status PassPortsTo(int forwarder, const google::protobuf::RepeatedField<std::int32_t>& ports);

// Receives the sockets for `ports`, in this order, from the Unix socket `container`, and forwards their connections to
// 127.0.0.1 here until the other end of `container` is closed. Connections beyond 256 at a time wait. INVALID_ARGUMENT
// if a port is not a number from 1 to 65535.
absl::Status ForwardPorts(int container, const std::vector<std::string>& ports);

}  // namespace riseml::agent
