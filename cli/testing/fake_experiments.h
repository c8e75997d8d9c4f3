// Experiments, jobs and logs of a fake cluster, as api and loghandler serve them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "cli/testing/fake_content.h"

namespace riseml::cli {

// The answer for whatever is absent.
absl::Status NotFound();

// ExperimentService, JobService and LogService on `content`, which outlives them.
// LogService is that of log server 0.
std::vector<std::unique_ptr<grpc::Service>> MakeExperimentServices(FakeContent& content);

std::unique_ptr<grpc::Service> MakeLogService(FakeContent& content, int server);

}  // namespace riseml::cli
