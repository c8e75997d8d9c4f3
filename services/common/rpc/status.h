// Errors across the wire.
#pragma once

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"

namespace riseml::rpc {

// absl::Status ⇄ grpc::Status; code, message and reason (as google.rpc.ErrorInfo) survive the round trip.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// True when the same call may succeed a moment later: nobody answered (UNAVAILABLE), or the server had no thread left
// for it, which gRPC answers with RESOURCE_EXHAUSTED; quotas of ours have a reason.
bool IsTransient(const absl::Status& status);

}  // namespace riseml::rpc
