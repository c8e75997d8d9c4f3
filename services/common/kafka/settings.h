// Settings of Kafka clients: defaults, checks, and librdkafka's configuration made of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/config/v1/kafka.pb.h"

struct rd_kafka_conf_s;

namespace riseml::kafka {

inline constexpr char kDefaultTopic[] = "riseml.logs.v1";
inline constexpr int kDefaultPartitions = 64;
inline constexpr int kMaxMessageBytes = 1'000'000;

// Returns the settings with every default filled in. INVALID_ARGUMENT lists all problems.
absl::StatusOr<config::v1::Kafka> Complete(config::v1::Kafka settings);

struct FreeConf {
  void operator()(rd_kafka_conf_s* conf) const;
};
using Conf = std::unique_ptr<rd_kafka_conf_s, FreeConf>;

using Properties = std::vector<std::pair<absl::string_view, std::string>>;

// Makes the configuration of a client: the connection according to complete settings, then `properties`. Reads the
// password file. Lines that librdkafka logs go to the log of this process.
absl::StatusOr<Conf> MakeConf(const config::v1::Kafka& settings, const Properties& properties);

// Partition of the topic that holds the log of a job; the same in every process and version.
int PartitionOf(absl::string_view job_uid, int partitions);

}  // namespace riseml::kafka
