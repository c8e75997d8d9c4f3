// RemovalService on the wire, for services.
#pragma once

#include "riseml/internal/v1/removal.grpc.pb.h"
#include "services/api/experiment/removal_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class RemovalHandler final : public internal::v1::RemovalService::Service {
 public:
  explicit RemovalHandler(RemovalStore& removals) : removals_(removals) {}  // `removals` outlives this
  grpc::Status ListRemovals(grpc::ServerContext*, const internal::v1::ListRemovalsRequest*,
                            internal::v1::ListRemovalsResponse*) override;
  grpc::Status ReportRemoved(grpc::ServerContext*, const internal::v1::ReportRemovedRequest*,
                             internal::v1::ReportRemovedResponse*) override;

 private:
  RemovalStore& removals_;
};

}  // namespace riseml::api
