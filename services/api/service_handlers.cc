#include "services/api/service_handlers.h"

#include "services/common/base/status_macros.h"

namespace riseml::api {
namespace {

// The call as if the owner of the credential had made it.
absl::StatusOr<rpc::Call> OnBehalfOf(rpc::Call call, rpc::Authenticator& authenticator, const std::string& credential) {
  RISEML_ASSIGN_OR_RETURN(call.caller, authenticator.Authenticate(credential));
  call.credential = credential;
  return call;
}

}  // namespace

grpc::Status AccessHandler::Authenticate(grpc::ServerContext* context, const internal::v1::AuthenticateRequest* request,
                                         internal::v1::Caller* response) {
  return rpc::Unary(context, "riseml.internal.v1.AccessService/Authenticate", [&](const rpc::Call&) {
    return rpc::Answer(authenticator_.Authenticate(request->credential()), response);
  });
}

grpc::Status AccessHandler::Check(grpc::ServerContext* context, const internal::v1::CheckRequest* request,
                                  internal::v1::CheckResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.AccessService/Check", [&](const rpc::Call& call) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const rpc::Call as_user, OnBehalfOf(call, authenticator_, request->credential()));
    return rpc::Answer(code_.Check(as_user, *request), response);
  });
}

grpc::ServerWriteReactor<internal::v1::WatchAccessResponse>* AccessHandler::WatchAccess(
    grpc::CallbackServerContext*, const internal::v1::WatchAccessRequest*) {
  return Watch<internal::v1::WatchAccessResponse>::Start(feed_, executor_, AccessWatcher(feed_, authenticator_));
}

grpc::Status RevisionRegistryHandler::ResolveProject(grpc::ServerContext* context,
                                                     const internal::v1::ResolveProjectRequest* request,
                                                     internal::v1::ResolveProjectResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.RevisionRegistryService/ResolveProject",
                    [&](const rpc::Call& call) { return rpc::Answer(code_.ResolveProject(call, *request), response); });
}

grpc::Status RevisionRegistryHandler::RegisterRevision(grpc::ServerContext* context,
                                                       const internal::v1::RegisterRevisionRequest* request,
                                                       v1::Revision* response) {
  return rpc::Unary(context, "riseml.internal.v1.RevisionRegistryService/RegisterRevision", [&](const rpc::Call& call) {
    return rpc::Answer(code_.RegisterRevision(call, *request), response);
  });
}

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

grpc::Status LogRegistryHandler::ListStreams(grpc::ServerContext* context,
                                             const internal::v1::ListStreamsRequest* request,
                                             internal::v1::ListStreamsResponse* response) {
  return rpc::Unary(
      context, "riseml.internal.v1.LogRegistryService/ListStreams", [&](const rpc::Call& call) -> absl::Status {
        RISEML_ASSIGN_OR_RETURN(const rpc::Call as_user, OnBehalfOf(call, authenticator_, request->credential()));
        return rpc::Answer(logs_.ListStreams(as_user, *request), response);
      });
}

grpc::Status LogRegistryHandler::ReportLogEnd(grpc::ServerContext* context,
                                              const internal::v1::ReportLogEndRequest* request,
                                              internal::v1::ReportLogEndResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.LogRegistryService/ReportLogEnd",
                    [&](const rpc::Call&) { return logs_.ReportEnd(*request); });
}

grpc::ServerWriteReactor<internal::v1::WatchStreamsResponse>* LogRegistryHandler::WatchStreams(
    grpc::CallbackServerContext*, const internal::v1::WatchStreamsRequest* request) {
  return Watch<internal::v1::WatchStreamsResponse>::Start(db_.feed(), executor_, StreamWatcher(db_, *request));
}

grpc::Status RemovalHandler::ListRemovals(grpc::ServerContext* context,
                                          const internal::v1::ListRemovalsRequest* request,
                                          internal::v1::ListRemovalsResponse* response) {
  return rpc::Unary(context, "riseml.internal.v1.RemovalService/ListRemovals",
                    [&](const rpc::Call&) { return rpc::Answer(removals_.List(*request), response); });
}

grpc::Status RemovalHandler::ReportRemoved(grpc::ServerContext* context,
                                           const internal::v1::ReportRemovedRequest* request,
                                           internal::v1::ReportRemovedResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.RemovalService/ReportRemoved",
                    [&](const rpc::Call&) { return removals_.Report(*request); });
}

}  // namespace riseml::api
