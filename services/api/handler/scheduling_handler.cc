#include "services/api/handler/scheduling_handler.h"

#include "services/api/watch/watchers.h"
#include "services/common/base/status_macros.h"

namespace riseml::api {

grpc::Status SchedulingHandler::AcquireLeadership(grpc::ServerContext* context,
                                                  const internal::v1::AcquireLeadershipRequest* request,
                                                  internal::v1::AcquireLeadershipResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.SchedulingService/AcquireLeadership",
                    [&](const rpc::Call&) -> absl::Status {
                      RISEML_ASSIGN_OR_RETURN(const std::int64_t epoch, scheduling_.AcquireLeadership(*request));
                      response->set_epoch(epoch);
                      return absl::OkStatus();
                    });
}

grpc::Status SchedulingHandler::CommitPlan(grpc::ServerContext* context, const internal::v1::CommitPlanRequest* request,
                                           internal::v1::CommitPlanResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.SchedulingService/CommitPlan",
                    [&](const rpc::Call&) { return rpc::Answer(scheduling_.CommitPlan(*request), response); });
}

grpc::Status SchedulingHandler::ReportObservations(grpc::ServerContext* context,
                                                   const internal::v1::ReportObservationsRequest* request,
                                                   internal::v1::ReportObservationsResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.SchedulingService/ReportObservations",
                    [&](const rpc::Call&) { return scheduling_.ReportObservations(*request); });
}

grpc::Status SchedulingHandler::GetJobTemplate(grpc::ServerContext* context,
                                               const internal::v1::GetJobTemplateRequest* request,
                                               internal::v1::GetJobTemplateResponse* response) {
  return rpc::Unary(
      context, "riseml.internal.v1.SchedulingService/GetJobTemplate", [&](const rpc::Call&) -> absl::Status {
        RISEML_ASSIGN_OR_RETURN(*response->mutable_template_(), scheduling_.GetJobTemplate(request->job_uid()));
        return absl::OkStatus();
      });
}

grpc::Status SchedulingHandler::ReportNodes(grpc::ServerContext* context,
                                            const internal::v1::ReportNodesRequest* request,
                                            internal::v1::ReportNodesResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.SchedulingService/ReportNodes",
                    [&](const rpc::Call&) { return scheduling_.ReportNodes(*request); });
}

grpc::ServerWriteReactor<internal::v1::WatchWorkResponse>* SchedulingHandler::WatchWork(
    grpc::CallbackServerContext*, const internal::v1::WatchWorkRequest* request) {
  return Watch<internal::v1::WatchWorkResponse>::Start(db_.feed(), executor_, WorkWatcher(db_, tokens_, *request));
}

}  // namespace riseml::api
