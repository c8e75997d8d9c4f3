// A real Kafka broker of a test's own: temporary directory, ports of loopback.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "riseml/config/v1/kafka.pb.h"

namespace riseml::fixtures {

class KafkaBroker {
 public:
  // Starts the broker; a test that cannot have one aborts with the reason. Options are those of tools/kafka_testbed.
  explicit KafkaBroker(std::vector<std::string> options = {});
  ~KafkaBroker();

  // Complete settings of a topic with so many partitions, which does not exist yet. They name the plain listener.
  config::v1::Kafka NewTopic(int partitions);
  // Settings for another listener of the broker, for a user of --sasl.
  config::v1::Kafka WithSasl(config::v1::Kafka settings, const std::string& user, const std::string& password) const;
  config::v1::Kafka WithTls(config::v1::Kafka settings) const;

  // Kills the broker (SIGKILL); its data stay.
  void Kill();
  void Start();
  // SIGSTOP and SIGCONT.
  void Freeze();
  void Thaw();

  // Sets the committed offsets of a consumer group. An error while the group has members.
  absl::Status ResetOffsets(const config::v1::Kafka& settings, const std::string& group, std::int64_t position) const;

 private:
  std::string Read(const std::string& name) const;
  bool Answers() const;

  const std::vector<std::string> options_;
  std::string dir_;
  pid_t pid_ = -1;
  int topics_ = 0;
};

}  // namespace riseml::fixtures
