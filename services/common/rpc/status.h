// Errors across the wire.
#pragma once

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"

namespace riseml::rpc {

// absl::Status ⇄ grpc::Status; code, message and reason (as google.rpc.ErrorInfo) survive the round trip.
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace riseml::rpc
