// Makes jobs, and the helper processes of single jobs, give way to services, so that the platform answers while jobs
// use every processor.
#pragma once

#include <sys/types.h>

namespace riseml::agent {

// `nice` of a job: a ninth of the weight that a service has.
inline constexpr int kJobNiceness = 10;

// Lowers the priority of this process, which its children inherit. Async-signal-safe.
void GiveWayToServices();

// Lowers the priority of the session that the process `leader` leads. Where the system shares processors by session
// (autogroups), GiveWayToServices has no effect across sessions. Async-signal-safe. Returns false if the process does
// not lead a session yet, or if the system takes no more requests now (it takes ten per second from all processes
// without root); try again in 100 ms.
bool LetSessionGiveWay(pid_t leader);

}  // namespace riseml::agent
