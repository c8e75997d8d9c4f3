// JobService on the wire, for users.
#pragma once

#include "riseml/v1/job.grpc.pb.h"
#include "services/api/experiment/experiment_store.h"
#include "services/api/scheduling/log_store.h"
#include "services/api/user/secret_store.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class JobHandler final : public v1::JobService::Service {
 public:
  // All outlive this.
  JobHandler(ExperimentStore& experiments, LogStore& logs, SecretStore& secrets)
      : experiments_(experiments), logs_(logs), secrets_(secrets) {}
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest*, v1::Job*) override;
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest*, v1::ListJobsResponse*) override;
  grpc::Status ReportResults(grpc::ServerContext*, const v1::ReportResultsRequest*,
                             v1::ReportResultsResponse*) override;
  grpc::Status ReportLogBacklog(grpc::ServerContext*, const v1::ReportLogBacklogRequest*,
                                v1::ReportLogBacklogResponse*) override;
  grpc::Status FetchSecrets(grpc::ServerContext*, const v1::FetchSecretsRequest*, v1::FetchSecretsResponse*) override;

 private:
  ExperimentStore& experiments_;
  LogStore& logs_;
  SecretStore& secrets_;
};

}  // namespace riseml::api
