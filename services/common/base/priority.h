// Makes jobs, and other work that nobody waits for at once, give way to services, so that the platform answers while
// they use every processor.
#pragma once

#include <sys/types.h>

namespace riseml {

// `nice` of a process that gives way: a ninth of the weight that a service has.
inline constexpr int kBackgroundNiceness = 10;

// Lowers the priority of this process, which its children inherit. Async-signal-safe.
void GiveWayToServices();

// Lowers the priority of the session that the process `leader` leads. Where the system shares processors by session
// (autogroups), GiveWayToServices has no effect across sessions. Async-signal-safe. Returns false if the process does
// not lead a session yet, or if the system takes no more requests now (it takes ten per second from all processes
// without root); try again in 100 ms.
bool LetSessionGiveWay(pid_t leader);

}  // namespace riseml
