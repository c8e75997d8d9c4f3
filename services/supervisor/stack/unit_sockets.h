// Listening sockets that are passed to units at their start. The ports stay open when a unit ends and is started again.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "services/common/base/files/file.h"
#include "services/supervisor/stack/supervised_unit.h"

namespace riseml::supervisor {

// Units that open their ports themselves have no socket here. Lives on one thread.
class UnitSockets {
 public:
  // Opens each port once, if the unit takes sockets. UNAVAILABLE when a port is taken.
  absl::Status Open(const UnitPlan& unit);

  // Like Open; for a unit that opens its ports itself, checks that they are free.
  absl::Status Claim(const UnitPlan& unit);

  // Shares the sockets that an earlier supervisor gave to the unit's process. If the system denies this, the ports are
  // opened anew when the unit has ended.
  void Share(const UnitPlan& unit, pid_t pid);

  // By listener.
  const std::map<std::string, UniqueFd>& all() const { return sockets_; }

 private:
  std::map<std::string, UniqueFd> sockets_;
};

}  // namespace riseml::supervisor
