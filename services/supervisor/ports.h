// TCP ports of loopback: chosen, looked at, held open.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/base/file.h"

namespace riseml::supervisor {

struct PickedPort {
  UniqueFd held;  // while it is open, the port is given to nobody else
  int port = 0;
};

// A port that is free now.
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
