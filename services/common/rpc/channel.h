// Calls to other services and, from the CLI, to user listeners.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/config/v1/common.pb.h"

namespace riseml::rpc {

// Channel to a service's internal listener with our own certificate. The address is host:port, or unix:/path, which
// counts as "localhost"; certificates name that as well. `ahead_bytes`: bytes that a stream may receive before they are
// read; 0: gRPC decides, and takes tens of MB if the reader is slow.
absl::StatusOr<std::shared_ptr<grpc::Channel>> ServiceChannel(const std::string& address,
                                                              const config::v1::ClientTls& tls, int ahead_bytes = 0);

// Channel to a user listener: trusts only `ca_pem`; no system roots, no HTTP proxy. An address unix:/path is the
// listener's socket_address, which has no TLS.
std::shared_ptr<grpc::Channel> UserChannel(const std::string& address, const std::string& ca_pem);

// Sets deadline, request id and (when not empty) the credential on a client context.
void Prepare(grpc::ClientContext& context, absl::Duration timeout, absl::string_view request_id,
             absl::string_view credential = {});

// Returns the time to wait before another try: 50 ms, 100 ms, 200 ms … at most 1 s, each times 0.5 to 1.5.
absl::Duration Backoff(int failed_tries);  // from 0

// Tries that outlast the restart of a supervised service, about 5 s: for programs that a person waits for. A wrong name
// or certificate is tried less often.
inline constexpr int kPatientTries = 9;
inline constexpr int kTries = 5;

struct CallOptions {
  absl::Duration timeout = absl::Seconds(10);  // over all tries
  int tries = kTries;  // waits between them: 50, 100, 200, 400 ms, with jitter, or what the server asks for if longer
  std::string request_id;  // empty: a new one
  std::string credential;  // API key or token; empty for services
  // Channel of the stub; may be null. A wait between tries connects it and ends once it is connected: unless somebody
  // waits for it, gRPC connects only every 5 s.
  std::shared_ptr<grpc::Channel> channel;
};

// Calls a unary, idempotent method; tries again when no server answered or it was too busy to take the call, e.g.
//   rpc::Invoke<v1::Job>([&](auto* context, auto* response) { return stub->GetJob(context, request, response); })
absl::Status InvokeWithRetry(const CallOptions& options, const std::function<grpc::Status(grpc::ClientContext*)>& call);

template <class Response, class Body>
absl::StatusOr<Response> Invoke(Body&& body, const CallOptions& options = {}) {
  Response response;
  const absl::Status status =
      InvokeWithRetry(options, [&](grpc::ClientContext* context) { return body(context, &response); });
  if (!status.ok()) return status;
  return response;
}

}  // namespace riseml::rpc
