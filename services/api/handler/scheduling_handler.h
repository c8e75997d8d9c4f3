// SchedulingService on the wire, for services.
#pragma once

#include "riseml/internal/v1/scheduling.grpc.pb.h"
#include "services/api/data/attempt_tokens.h"
#include "services/api/data/database.h"
#include "services/api/scheduling/scheduling_store.h"
#include "services/common/base/threads/executor.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class SchedulingHandler final
    : public internal::v1::SchedulingService::WithCallbackMethod_WatchWork<internal::v1::SchedulingService::Service> {
 public:
  SchedulingHandler(Database& db, SchedulingStore& scheduling, const AttemptTokens& tokens, Executor& executor)
      : db_(db), scheduling_(scheduling), tokens_(tokens), executor_(executor) {}  // all outlive this
  grpc::Status AcquireLeadership(grpc::ServerContext*, const internal::v1::AcquireLeadershipRequest*,
                                 internal::v1::AcquireLeadershipResponse*) override;
  grpc::Status CommitPlan(grpc::ServerContext*, const internal::v1::CommitPlanRequest*,
                          internal::v1::CommitPlanResponse*) override;
  grpc::Status ReportObservations(grpc::ServerContext*, const internal::v1::ReportObservationsRequest*,
                                  internal::v1::ReportObservationsResponse*) override;
  grpc::Status GetJobTemplate(grpc::ServerContext*, const internal::v1::GetJobTemplateRequest*,
                              internal::v1::GetJobTemplateResponse*) override;
  grpc::Status ReportNodes(grpc::ServerContext*, const internal::v1::ReportNodesRequest*,
                           internal::v1::ReportNodesResponse*) override;
  grpc::ServerWriteReactor<internal::v1::WatchWorkResponse>* WatchWork(grpc::CallbackServerContext*,
                                                                       const internal::v1::WatchWorkRequest*) override;

 private:
  Database& db_;
  SchedulingStore& scheduling_;
  const AttemptTokens& tokens_;
  Executor& executor_;
};

}  // namespace riseml::api
