#include "services/supervisor/stack/unit_sockets.h"

#include <utility>

#include "services/common/base/log.h"
#include "services/common/base/status_macros.h"
#include "services/supervisor/install/ports.h"

namespace riseml::supervisor {

absl::Status UnitSockets::Open(const UnitPlan& unit) {
  if (!unit.takes_sockets) return absl::OkStatus();
  for (const Endpoint& endpoint : unit.endpoints) {
    UniqueFd& socket = sockets_[endpoint.listener];
    if (socket.valid()) continue;
    RISEML_ASSIGN_OR_RETURN(socket, ListenOn(endpoint.listener, endpoint.port));
  }
  return absl::OkStatus();
}

absl::Status UnitSockets::Claim(const UnitPlan& unit) {
  if (unit.takes_sockets) return Open(unit);
  for (const Endpoint& endpoint : unit.endpoints)
    if (endpoint.port != 0) RISEML_RETURN_IF_ERROR(CheckPortFree(endpoint.listener, endpoint.port));
  return absl::OkStatus();
}

void UnitSockets::Share(const UnitPlan& unit, pid_t pid) {
  if (!unit.takes_sockets) return;
  for (const Endpoint& endpoint : unit.endpoints) {
    absl::StatusOr<UniqueFd> socket = CopyListeningSocket(pid, endpoint.port);
    if (socket.ok()) {
      sockets_[endpoint.listener] = *std::move(socket);
    } else {
      LogWarning("socket_not_shared", {{"listener", endpoint.listener}, {"error", socket.status().message()}});
    }
  }
}

}  // namespace riseml::supervisor
