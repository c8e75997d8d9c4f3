// LogTransport over Kafka: records go to the partition of the job. Acknowledged means stored by all replicas in sync.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "riseml/config/v1/kafka.pb.h"
#include "services/agent/ship/log_transport.h"
#include "services/common/base/id.h"

namespace riseml::agent {

// Each call has a producer of its own, which begins at the acknowledged offset: what an earlier one has left unclear is
// stored again, and the log handler drops it by its offset.
class KafkaLogTransport final : public LogTransport {
 public:
  // Calls `settings` for each call, so that changed ones take effect.
  KafkaLogTransport(std::function<absl::StatusOr<config::v1::Kafka>()> settings, AttemptId stream);
  std::unique_ptr<LogCall> Open(std::int64_t acknowledged, std::function<void()> on_change) override;

 private:
  const std::function<absl::StatusOr<config::v1::Kafka>()> settings_;
  const AttemptId stream_;
};

}  // namespace riseml::agent
