// Replaces the threads on which gRPC 1.51 runs its own tasks.
//
// gRPC's pool has one thread for each processor and starts at most one more a second. A thread that waits to start can
// take the wake-up of a new task, and delay the task by up to a second although other threads are idle (SleepIfRunning
// and Step of src/core/lib/event_engine/thread_pool.cc wait on the same condition variable). The calls of users pass
// through this pool for authentication: see Server. Here a task starts at once.
#pragma once

namespace riseml::rpc {

// Called once, before the first use of gRPC in the process.
void InstallEventEngine();

}  // namespace riseml::rpc
