// Errors across the wire.
#pragma once

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"

namespace riseml::rpc {

// absl::Status ⇄ grpc::Status. Code, message, reason and metadata (as google.rpc.ErrorInfo), field violations
// (BadRequest) and retry delay (RetryInfo) survive the round trip, so that they pass through any number of services.
//
// All of it travels in the trailers of a call, of which a client takes 8 KiB: the excess is left out, first of the
// violations (of which there are at most 64), then of the metadata; a long message is cut.
grpc::Status ToGrpc(const absl::Status& status);
// A stream that ended without a status is UNAVAILABLE.
absl::Status FromGrpc(const grpc::Status& status);

// True when the same call may succeed a moment later: no server answered (UNAVAILABLE), the server names a retry delay,
// or it had no thread left for the call. For the last, gRPC answers RESOURCE_EXHAUSTED without a reason; our quotas
// have a reason.
bool IsTransient(const absl::Status& status);

}  // namespace riseml::rpc
