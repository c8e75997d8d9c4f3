// Removes the data of deleted experiments or projects from a store: asks api for the items, and reports those removed.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/removal.grpc.pb.h"

namespace riseml::rpc {

struct RemoverOptions {
  internal::v1::ListRemovalsRequest::Kind kind = internal::v1::ListRemovalsRequest::KIND_UNSPECIFIED;
  absl::Duration pause = absl::Seconds(5);  // between two questions
  // Removes one item; also succeeds for one that is gone. A failed item is listed again.
  std::function<absl::Status(const std::string& item)> remove;
};

// A thread of its own, until destroyed.
class Remover {
 public:
  // `channel` leads to api's internal listener.
  Remover(RemoverOptions options, const std::shared_ptr<grpc::Channel>& channel);

 private:
  void Run(std::stop_token stop);
  // Removes what is listed now; returns the number of items that are gone.
  absl::StatusOr<int> RemoveListed(const std::stop_token& stop);

  const RemoverOptions options_;
  const std::unique_ptr<internal::v1::RemovalService::Stub> stub_;
  std::jthread thread_;
};

}  // namespace riseml::rpc
