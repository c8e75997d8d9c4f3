// Producer of log records: idempotent, acknowledged by all replicas, with a bounded queue.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "riseml/config/v1/kafka.pb.h"

struct rd_kafka_s;
struct rd_kafka_topic_s;

namespace riseml::kafka {

// Callbacks run on the producer's own thread, until the producer is destroyed.
struct ProducerEvents {
  // A record is stored by all replicas in sync, or never will be. `tag` is that of Produce.
  std::function<void(std::int64_t tag, const absl::Status& status)> delivered;
  // This producer cannot go on and must be destroyed: a fatal error, or wrong credentials.
  std::function<void(const absl::Status& status)> broken;
};

// Thread-safe. Records of one partition are stored in the order of their Produce calls. While no broker can be reached
// they wait in the queue without a time limit.
class Producer {
 public:
  static absl::StatusOr<std::unique_ptr<Producer>> Make(const config::v1::Kafka& settings, const std::string& topic,
                                                        ProducerEvents events);
  // Drops what waits in the queue. Whether records under way get stored stays unknown.
  ~Producer();

  using Headers = std::vector<std::pair<std::string, std::string>>;

  // Queues a copy of a record. LIMIT_EXCEEDED: the queue is full, nothing was done.
  absl::Status Produce(int partition, absl::string_view key, absl::string_view value, std::int64_t tag,
                       const Headers& headers = {});

 private:
  struct Free {
    void operator()(rd_kafka_s* client) const;
    void operator()(rd_kafka_topic_s* topic) const;
  };
  Producer(std::string topic, ProducerEvents events) : name_(std::move(topic)), events_(std::move(events)) {}
  void Run(const std::stop_token& stop);

  const std::string name_;
  const ProducerEvents events_;
  std::unique_ptr<rd_kafka_s, Free> client_;
  std::unique_ptr<rd_kafka_topic_s, Free> topic_;
  std::jthread thread_;
};

}  // namespace riseml::kafka
