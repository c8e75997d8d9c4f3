// Listening sockets that units are given when they start: the ports stay open however often their unit ends.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "services/common/base/files/file.h"
#include "services/supervisor/stack/supervised.h"

namespace riseml::supervisor {

// Units that open their ports themselves have no socket here. Lives on one thread.
class UnitSockets {
 public:
  // Opens the ports of a unit that takes sockets, each once. UNAVAILABLE when a port is taken.
  absl::Status Open(const UnitPlan& unit);

  // As Open; of a unit that opens its ports itself, finds out whether they are free.
  absl::Status Claim(const UnitPlan& unit);

  // Shares the sockets that an earlier supervisor gave to the unit's process. Where the system does not let us, the
  // ports are opened anew when the unit has ended.
  void Share(const UnitPlan& unit, pid_t pid);

  // By listener.
  const std::map<std::string, UniqueFd>& all() const { return sockets_; }

 private:
  std::map<std::string, UniqueFd> sockets_;
};

}  // namespace riseml::supervisor
