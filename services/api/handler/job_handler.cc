#include "services/api/handler/job_handler.h"

#include "services/common/base/status_macros.h"

namespace riseml::api {

grpc::Status JobHandler::GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request, v1::Job* response) {
  return rpc::Unary(context, "riseml.v1.JobService/GetJob", [&](const rpc::Call& call) {
    return rpc::Answer(experiments_.GetJob(call, request->name()), response);
  });
}
grpc::Status JobHandler::ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                                  v1::ListJobsResponse* response) {
  return rpc::Unary(context, "riseml.v1.JobService/ListJobs", [&](const rpc::Call& call) {
    return rpc::Answer(experiments_.ListJobs(call, *request), response);
  });
}
grpc::Status JobHandler::ReportResults(grpc::ServerContext* context, const v1::ReportResultsRequest* request,
                                       v1::ReportResultsResponse*) {
  return rpc::Unary(context, "riseml.v1.JobService/ReportResults",
                    [&](const rpc::Call& call) { return experiments_.ReportResults(call, *request); });
}

grpc::Status JobHandler::ReportLogBacklog(grpc::ServerContext* context, const v1::ReportLogBacklogRequest* request,
                                          v1::ReportLogBacklogResponse*) {
  return rpc::Unary(context, "riseml.v1.JobService/ReportLogBacklog",
                    [&](const rpc::Call& call) { return logs_.ReportBacklog(call, *request); });
}

grpc::Status JobHandler::FetchSecrets(grpc::ServerContext* context, const v1::FetchSecretsRequest*,
                                      v1::FetchSecretsResponse* response) {
  return rpc::Unary(context, "riseml.v1.JobService/FetchSecrets", [&](const rpc::Call& call) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const auto values, secrets_.Fetch(call));
    for (const auto& [name, value] : values) (*response->mutable_values())[name] = value;
    return absl::OkStatus();
  });
}

}  // namespace riseml::api
