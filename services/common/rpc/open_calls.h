// Ends open streams of users who may not go on with them: a key was revoked, a user disabled, a role lowered.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/remote_authenticator.h"

namespace riseml::rpc {

// Open calls of a service other than api. Asks api for the owners of their credentials as soon as api reports a change
// of users; once per second while its watch does not work. Thread-safe. Has a thread of its own until destroyed.
class OpenCalls {
 public:
  struct Hooks {
    // Ends the call with this status, at most once. Does not block, and does not destroy the handle.
    std::function<void(const absl::Status&)> end;
    // Called when the call is still open half a second later: it waits for its client. Does not block.
    std::function<void()> cancel;
  };

  // A call that is open. Destroy it before what its hooks use: that waits for a hook that runs.
  class Handle {
   public:
    Handle() = default;
    Handle(Handle&&) noexcept = default;
    Handle& operator=(Handle&& other) noexcept;
    ~Handle() { Release(); }

    // OK while the call may go on; afterwards the status that it ends with.
    absl::Status status() const;
    // The call has ended. Idempotent.
    void Release();

   private:
    friend class OpenCalls;
    struct Entry;
    std::shared_ptr<Entry> entry_;
  };

  // `authenticator` and `clock` must outlive this object. `channel` leads to api's internal listener.
  OpenCalls(RemoteAuthenticator& authenticator, const std::shared_ptr<grpc::Channel>& channel, const Clock& clock);
  ~OpenCalls();

  // `call` belongs to a user or a job. The handle may outlive this object.
  Handle Enter(const Call& call, Hooks hooks);

 private:
  class AccessWatch;
  using Entry = Handle::Entry;

  void Run(std::stop_token stop);
  void KeepWatch();
  std::vector<std::shared_ptr<Entry>> OpenEntries();
  bool AskAbout(const std::vector<std::shared_ptr<Entry>>& open, const std::stop_token& stop);
  void OnNews(std::int64_t generation);
  void OnWatchEnded();
  void AskAllLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  RemoteAuthenticator& authenticator_;
  const std::unique_ptr<internal::v1::AccessService::Stub> stub_;
  const Clock& clock_;
  std::unique_ptr<AccessWatch> watch_;           // of the thread
  absl::Time last_try_ = absl::InfinitePast();   // to open it; of the thread
  absl::Time last_poll_ = absl::InfinitePast();  // of the thread
  Mutex mu_;
  std::condition_variable_any wake_;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool watch_open_ ABSL_GUARDED_BY(mu_) = false;       // gRPC uses watch_
  std::int64_t generation_ ABSL_GUARDED_BY(mu_) = -1;  // that api has told on this watch; -1: none yet
  std::list<std::weak_ptr<Entry>> entries_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace riseml::rpc
