// Health checks of listeners by gRPC's health protocol, of the edge by the method that it answers itself, and of
// servers of HTTP by any answer.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/config/v1/common.pb.h"
#include "services/common/base/threads/executor.h"
#include "services/supervisor/install/services.h"

namespace riseml::supervisor {

// Keys and certificates for calls to the listeners of an installation.
struct ProbeKeys {
  std::string ca_pem, certificate_pem, key_pem;
};
absl::StatusOr<ProbeKeys> LoadProbeKeys(const config::v1::ClientTls& tls);

// Checks the health of listeners, any number at a time. Thread-safe.
class Prober {
 public:
  explicit Prober(ProbeKeys keys);
  // Waits for all outstanding answers, except questions by HTTP that have not been sent yet.
  ~Prober();

  // Asks once, on a new connection. Calls `done` exactly once, on a thread of the prober, with OK if the listener
  // reports that it serves.
  void Ask(const std::string& address, ListenerRole role, absl::Duration timeout,
           std::function<void(absl::Status)> done);

 private:
  struct Question;
  void Listen();

  const ProbeKeys keys_;
  grpc::CompletionQueue queue_;
  ThreadExecutor http_;
  std::jthread listener_;
};

}  // namespace riseml::supervisor
