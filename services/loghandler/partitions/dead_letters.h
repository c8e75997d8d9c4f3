// Topic of records that can never be stored, for people to look at.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/config/v1/kafka.pb.h"
#include "services/common/kafka/producer.h"

namespace riseml::loghandler {

// Thread-safe. Never waits: a record for which there is no room is only logged, as all of them are.
class DeadLetters {
 public:
  static absl::StatusOr<std::unique_ptr<DeadLetters>> Make(const config::v1::Kafka& settings);

  // Copies a record to the topic, with headers that say why and where it came from.
  void Put(int partition, std::int64_t position, absl::string_view bytes, const absl::Status& why);

 private:
  explicit DeadLetters(std::string source) : source_(std::move(source)) {}
  const std::string source_;  // topic the records come from
  std::unique_ptr<kafka::Producer> producer_;
};

}  // namespace riseml::loghandler
