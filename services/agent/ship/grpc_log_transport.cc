#include "services/agent/ship/grpc_log_transport.h"

#include <condition_variable>
#include <utility>

#include "absl/time/time.h"
#include "riseml/v1/log.grpc.pb.h"
#include "services/common/base/id.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/status.h"

namespace riseml::agent {
namespace {

class GrpcLogCall final : public LogCall, private grpc::ClientBidiReactor<v1::IngestRequest, v1::IngestResponse> {
 public:
  GrpcLogCall(v1::LogService::Stub& stub, const std::string& token, std::function<void()> on_change)
      : on_change_(std::move(on_change)) {
    MutexLock lock(mu_);  // callbacks begin before this constructor ends
    rpc::Prepare(context_, absl::InfiniteDuration(), NewUuid(), token);
    request_.mutable_hello();
    stub.async()->Ingest(&context_, this);
    AddHold();  // writes start outside of reactions, so gRPC must not end the call meanwhile
    StartRead(&response_);
    StartWrite(&request_);
    StartCall();
  }

  ~GrpcLogCall() override {
    context_.TryCancel();
    MutexLock lock(mu_);
    while (!done_) done_changed_.wait(mu_);
  }

  bool CanSend() override {
    MutexLock lock(mu_);
    return !writing_ && !ending_;
  }

  void Send(const v1::IngestRequest& request) override {
    {
      MutexLock lock(mu_);
      if (ending_) return;
      writing_ = sending_ = true;
    }
    request_ = request;
    StartWrite(&request_);
    {
      MutexLock lock(mu_);
      sending_ = false;
      if (!ending_) return;
    }
    RemoveHold();
  }

  IngestProgress Progress() override {
    MutexLock lock(mu_);
    return progress_;
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return EndCall();
    {
      MutexLock lock(mu_);
      progress_.expected_offset = response_.expected_offset();
      ++progress_.answers;
      progress_.complete = progress_.complete || response_.complete();
    }
    StartRead(&response_);
    on_change_();
  }

  // Ends writes, since the call is ending. If Send is just starting a write, it releases the hold itself.
  void EndCall() {
    {
      MutexLock lock(mu_);
      ending_ = true;
      if (sending_) return;
    }
    RemoveHold();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return;  // the call is over; OnDone says why
    {
      MutexLock lock(mu_);
      writing_ = false;
    }
    on_change_();
  }

  void OnDone(const grpc::Status& status) override {
    absl::Status over = rpc::FromGrpc(status);
    {
      MutexLock lock(mu_);
      progress_.over = std::move(over);
    }
    on_change_();
    // This must be the last access: the destructor may continue as soon as the lock is free.
    MutexLock lock(mu_);
    done_ = true;
    done_changed_.notify_all();
  }

  const std::function<void()> on_change_;
  grpc::ClientContext context_;
  v1::IngestRequest request_;    // belongs to gRPC while writing_
  v1::IngestResponse response_;  // belongs to gRPC between StartRead and OnReadDone
  Mutex mu_;
  std::condition_variable_any done_changed_;
  IngestProgress progress_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = true;
  bool sending_ ABSL_GUARDED_BY(mu_) = false;  // within Send
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

struct GrpcLogTransport::Connection {
  std::string address, ca_pem;
  std::unique_ptr<v1::LogService::Stub> stub;
};

GrpcLogTransport::GrpcLogTransport(std::function<absl::StatusOr<IngestEndpoint>()> endpoint)
    : endpoint_(std::move(endpoint)) {}
GrpcLogTransport::~GrpcLogTransport() = default;

std::unique_ptr<LogCall> GrpcLogTransport::Open(std::int64_t /*acknowledged: the server says it*/,
                                                std::function<void()> on_change) {
  absl::StatusOr<IngestEndpoint> endpoint = endpoint_();
  if (!endpoint.ok()) return std::make_unique<FailedCall>(endpoint.status());
  if (connection_ == nullptr || connection_->address != endpoint->address || connection_->ca_pem != endpoint->ca_pem)
    connection_ = std::make_unique<Connection>(
        Connection{endpoint->address, endpoint->ca_pem,
                   v1::LogService::NewStub(rpc::UserChannel(endpoint->address, endpoint->ca_pem))});
  return std::make_unique<GrpcLogCall>(*connection_->stub, endpoint->token, std::move(on_change));
}

}  // namespace riseml::agent
