#include "services/agent/ship/ship_main.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "riseml/config/v1/kafka.pb.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "riseml/v1/job.grpc.pb.h"
#include "services/agent/attempt/attempt_dir.h"
#include "services/agent/attempt/run_secrets.h"
#include "services/agent/process/process.h"
#include "services/agent/ship/backlog_reports.h"
#include "services/agent/ship/grpc_log_transport.h"
#include "services/agent/ship/kafka_log_transport.h"
#include "services/agent/ship/log_transport.h"
#include "services/agent/ship/result_delivery.h"
#include "services/agent/ship/shipper.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/mutex.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/pause.h"
#include "services/common/logtext/redact.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/runtime/runtime.h"

namespace riseml::agent {
namespace {

constexpr absl::Duration kLookForDirectory = absl::Seconds(5);

struct Delivery {
  internal::v1::ShipPlan plan;
  std::string token;
  AttemptId attempt;
};

absl::StatusOr<Delivery> ReadDelivery(const AttemptDir& dir) {
  Delivery delivery;
  RISEML_ASSIGN_OR_RETURN(delivery.plan, ReadMessage<internal::v1::ShipPlan>(dir.ship_plan()));
  // The token is not read from `control`, where the job can write any file.
  RISEML_ASSIGN_OR_RETURN(const internal::v1::StartAttemptRequest start,
                          ReadMessage<internal::v1::StartAttemptRequest>(dir.start()));
  delivery.token = start.token();
  delivery.attempt = {start.job_uid(), start.attempt()};
  return delivery;
}

// Calls of api with the token of an attempt, over a channel that is kept until the address changes. Thread-safe.
class ApiClient {
 public:
  explicit ApiClient(AttemptDir dir) : dir_(std::move(dir)) {}

  absl::Status Report(const v1::ReportResultsRequest& request) {
    return Invoke<v1::ReportResultsResponse>(&v1::JobService::Stub::ReportResults, request);
  }
  absl::Status Report(const v1::ReportLogBacklogRequest& request) {
    return Invoke<v1::ReportLogBacklogResponse>(&v1::JobService::Stub::ReportLogBacklog, request);
  }

 private:
  template <class Response, class Request>
  absl::Status Invoke(grpc::Status (v1::JobService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                      const Request& request) {
    RISEML_ASSIGN_OR_RETURN(const Delivery delivery, ReadDelivery(dir_));
    const std::shared_ptr<v1::JobService::Stub> stub = StubOf(delivery.plan);
    const auto call = [&](grpc::ClientContext* context, Response* response) {
      return ((*stub).*method)(context, request, response);
    };
    return rpc::Invoke<Response>(call, {.tries = 1, .credential = delivery.token}).status();
  }
  std::shared_ptr<v1::JobService::Stub> StubOf(const internal::v1::ShipPlan& plan) {
    MutexLock lock(mu_);
    if (stub_ == nullptr || address_ != plan.api_address()) {
      address_ = plan.api_address();
      stub_ = v1::JobService::NewStub(rpc::UserChannel(address_, plan.ca_pem()));
    }
    return stub_;
  }

  const AttemptDir dir_;
  Mutex mu_;
  std::string address_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<v1::JobService::Stub> stub_ ABSL_GUARDED_BY(mu_);
};

ApiCalls CallsOf(const AttemptDir& dir, const std::vector<std::string>& hidden) {
  const auto client = std::make_shared<ApiClient>(dir);
  ApiCalls calls;
  calls.report_results = [client, masker = logtext::Masker(hidden)](const google::protobuf::Struct& results,
                                                                    std::int64_t sequence) {
    v1::ReportResultsRequest request;
    *request.mutable_results() = MaskResults(masker, results);
    request.set_sequence(sequence);
    return client->Report(request);
  };
  calls.report_backlog = [client](const std::optional<Backlog>& backlog) {
    v1::ReportLogBacklogRequest request;
    if (backlog.has_value()) {
      request.mutable_backlog()->set_bytes(backlog->bytes);
      request.mutable_backlog()->set_lost_bytes(backlog->lost_bytes);
      *request.mutable_backlog()->mutable_oldest_time() = ToProtoTime(backlog->oldest);
    }
    return client->Report(request);
  };
  return calls;
}

// The transport is that of the plan at the start of this process; node starts a new one to change it.
std::unique_ptr<LogTransport> MakeTransport(const AttemptDir& dir, const Delivery& first) {
  if (first.plan.has_kafka()) {
    const auto settings = [dir]() -> absl::StatusOr<config::v1::Kafka> {
      RISEML_ASSIGN_OR_RETURN(const Delivery delivery, ReadDelivery(dir));
      return delivery.plan.kafka();
    };
    return std::make_unique<KafkaLogTransport>(settings, first.attempt);
  }
  return std::make_unique<GrpcLogTransport>([dir]() -> absl::StatusOr<IngestEndpoint> {
    RISEML_ASSIGN_OR_RETURN(const Delivery delivery, ReadDelivery(dir));
    return IngestEndpoint{delivery.plan.loghandler_address(), delivery.plan.ca_pem(), delivery.token};
  });
}

// Returns when the lock's file has been removed: the installation was deleted, and nobody can have the log any more.
// Until then waits for `stop`.
void AwaitRemoval(const UniqueFd& lock, const std::stop_token& stop) {
  struct stat info {};
  while (Pause(stop, kLookForDirectory))
    if (fstat(lock.get(), &info) == 0 && info.st_nlink == 0) return;
}

}  // namespace

absl::Status ShipAttempt(const std::string& path, int log_fd) {
  const AttemptDir dir(path);
  RISEML_ASSIGN_OR_RETURN(const UniqueFd lock, OpenFile(dir.ship_lock(), O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (!LockFile(lock.get()).ok()) return absl::OkStatus();
  UniqueFd log(log_fd);
  if (log.valid()) fcntl(log.get(), F_SETFD, FD_CLOEXEC);
  if (!log.valid()) {
    absl::StatusOr<UniqueFd> opened = OpenFile(dir.log(), O_RDWR | O_NOFOLLOW);
    if (!opened.ok())
      opened = OpenFile(dir.log(), O_RDONLY | O_NOFOLLOW);  // read-only: shipped bytes are not freed before the end
    RISEML_RETURN_IF_ERROR(opened.status());
    log = *std::move(opened);
  }
  RISEML_ASSIGN_OR_RETURN(const Delivery first, ReadDelivery(dir));
  ShipperOptions options;
  if (first.plan.unshipped_bytes_limit() > 0) options.unshipped_limit = first.plan.unshipped_bytes_limit();
  RISEML_ASSIGN_OR_RETURN(options.hidden, HiddenValues(dir));
  const std::unique_ptr<LogTransport> transport = MakeTransport(dir, first);
  const SystemClock clock;
  Shipper shipper(dir, std::move(log), *transport, CallsOf(dir, options.hidden), options, clock);
  absl::Status status;
  std::jthread worker([&](std::stop_token stop) {
    status = shipper.Run(stop);
    kill(getpid(), SIGTERM);  // ends the wait below
  });
  std::jthread removal([&lock](const std::stop_token& stop) {
    AwaitRemoval(lock, stop);
    if (!stop.stop_requested()) kill(getpid(), SIGTERM);
  });
  runtime::WaitForSignal();
  removal.request_stop();
  worker.request_stop();
  worker.join();
  return status;
}

}  // namespace riseml::agent
