// Replaces the threads on which gRPC 1.51 runs its own tasks.
//
// gRPC's pool has a thread for each processor and begins at most one more a second. The thread that waits for its turn
// to begin can take the wake-up of a new task and leave the task lying for up to a second, although other threads are
// idle (SleepIfRunning and Step of src/core/lib/event_engine/thread_pool.cc wait on the same condition variable). Each
// call of a user passes through this pool, where the server asks who calls: see Server. Here a task begins at once.
#pragma once

namespace riseml::rpc {

// Called once, before the first use of gRPC in the process.
void InstallEventEngine();

}  // namespace riseml::rpc
