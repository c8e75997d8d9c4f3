#include "services/agent/ship/ship_main.h"

#include <fcntl.h>
#include <signal.h>

#include <memory>
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
#include "services/agent/ship/grpc_log_transport.h"
#include "services/agent/ship/kafka_log_transport.h"
#include "services/agent/ship/log_transport.h"
#include "services/agent/ship/result_delivery.h"
#include "services/agent/ship/shipper.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/logtext/redact.h"
#include "services/common/rpc/channel.h"
#include "services/common/runtime/runtime.h"

namespace riseml::agent {
namespace {

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

// Reports over a channel that is kept until the address changes.
ReportResults ReportTo(const AttemptDir& dir, const std::vector<std::string>& hidden) {
  struct Connection {
    std::string address;
    std::unique_ptr<v1::JobService::Stub> stub;
  };
  auto connection = std::make_shared<Connection>();
  return [dir, connection, masker = logtext::Masker(hidden)](const google::protobuf::Struct& results,
                                                             std::int64_t sequence) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const Delivery delivery, ReadDelivery(dir));
    if (connection->stub == nullptr || connection->address != delivery.plan.api_address()) {
      connection->address = delivery.plan.api_address();
      connection->stub = v1::JobService::NewStub(rpc::UserChannel(connection->address, delivery.plan.ca_pem()));
    }
    v1::ReportResultsRequest request;
    *request.mutable_results() = MaskResults(masker, results);
    request.set_sequence(sequence);
    const auto call = [&](grpc::ClientContext* context, v1::ReportResultsResponse* response) {
      return connection->stub->ReportResults(context, request, response);
    };
    return rpc::Invoke<v1::ReportResultsResponse>(call, {.tries = 1, .credential = delivery.token}).status();
  };
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
  Shipper shipper(dir, std::move(log), *transport, ReportTo(dir, options.hidden), options, clock);
  absl::Status status;
  std::jthread worker([&](std::stop_token stop) {
    status = shipper.Run(stop);
    kill(getpid(), SIGTERM);  // ends the wait below
  });
  runtime::WaitForSignal();
  worker.request_stop();
  worker.join();
  return status;
}

}  // namespace riseml::agent
