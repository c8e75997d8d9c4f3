// TCP ports of loopback: chosen, looked at, held open.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/common/base/files/file.h"

namespace riseml::supervisor {

struct PickedPort {
  UniqueFd held;  // while it is open, the port is given to nobody else
  int port = 0;
};

// Ports from begin to end - 1; none when begin == end.
struct PortRange {
  int begin = 0;
  int end = 0;
};

// The ports an installation may keep for itself: below the range from which the system gives ports to outgoing
// connections. A closed connection holds its port for a minute, and an installation that is started in that minute
// could not listen on it. `outgoing`: content of /proc/sys/net/ipv4/ip_local_port_range. None where it leaves no room.
PortRange PortsToPick(absl::string_view outgoing);

// A port that is free now, of PortsToPick where there is one.
absl::StatusOr<PickedPort> PickPort();

// UNAVAILABLE when something listens on the loopback port; names it where /proc tells. `listener` is for the message.
absl::Status CheckPortFree(const std::string& listener, int port);

// Opens a listening socket on the loopback port. Connections wait in it until some program accepts them. The same error
// as CheckPortFree.
absl::StatusOr<UniqueFd> ListenOn(const std::string& listener, int port);

// A copy of the socket by which process `pid` listens on the loopback port. NOT_FOUND when it has none, or the system
// does not let us look.
absl::StatusOr<UniqueFd> CopyListeningSocket(int pid, int port);

}  // namespace riseml::supervisor
