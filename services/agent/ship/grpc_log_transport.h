// LogTransport over gRPC: LogService.Ingest on loghandler's user listener.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/agent/ship/log_transport.h"

namespace riseml::agent {

struct IngestEndpoint {
  std::string address;
  std::string ca_pem;
  std::string token;
};

class GrpcLogTransport final : public LogTransport {
 public:
  // Calls `endpoint` for each call, so that a changed address or token takes effect.
  explicit GrpcLogTransport(std::function<absl::StatusOr<IngestEndpoint>()> endpoint);
  ~GrpcLogTransport() override;
  std::unique_ptr<LogCall> Open(std::int64_t acknowledged, std::function<void()> on_change) override;

 private:
  struct Connection;
  std::function<absl::StatusOr<IngestEndpoint>()> endpoint_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace riseml::agent
