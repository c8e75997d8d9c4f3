// Lets jobs, and what serves one job each, give way to services, so that the platform answers while jobs use every
// processor.
#pragma once

#include <sys/types.h>

namespace riseml::agent {

// `nice` of a job: a ninth of the weight that a service has.
inline constexpr int kJobNiceness = 10;

// Lowers the priority of this process, which its children inherit. Async-signal-safe.
void GiveWayToServices();

// Lowers the priority of the session that the process `leader` leads. Where the system shares processors by session
// (autogroups), GiveWayToServices has no effect across sessions. Async-signal-safe. False: the process does not lead a
// session yet, or the system, which accepts only ten such requests per second in total from who is not root, takes no
// more now; try again in 100 ms.
bool LetSessionGiveWay(pid_t leader);

}  // namespace riseml::agent
