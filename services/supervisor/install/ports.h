// TCP ports of loopback: choosing, checking and listening.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"

namespace riseml::supervisor {

struct PickedPort {
  UniqueFd held;  // while it is open, no other process gets the port
  int port = 0;
};

// Ports from begin to end - 1; none when begin == end.
struct PortRange {
  int begin = 0;
  int end = 0;
};

// Returns the ports that an installation may keep: those below the range of ports for outgoing connections. A closed
// connection holds its port for a minute, and an installation that starts in that minute could not listen on it.
// `outgoing` is the content of /proc/sys/net/ipv4/ip_local_port_range. Empty if that leaves no room.
PortRange PortsToPick(absl::string_view outgoing);

// Picks a port that is free now, from PortsToPick if possible.
absl::StatusOr<PickedPort> PickPort();

// UNAVAILABLE if a process listens on the loopback port; the message names the process if /proc shows it. `listener` is
// the name in the message.
absl::Status CheckPortFree(const std::string& listener, int port);

// Opens a listening socket on the loopback port. Connections wait there until a program accepts them. Returns the same
// error as CheckPortFree.
absl::StatusOr<UniqueFd> ListenOn(const std::string& listener, int port);

// Returns a copy of the socket with which process `pid` listens on the loopback port. NOT_FOUND if it has none, or if
// the system denies access.
absl::StatusOr<UniqueFd> CopyListeningSocket(int pid, int port);

}  // namespace riseml::supervisor
