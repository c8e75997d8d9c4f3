// Consumer of the partitions of one topic. Positions are kept by the caller, not by Kafka.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "riseml/config/v1/kafka.pb.h"

struct rd_kafka_s;
struct rd_kafka_message_s;
struct rd_kafka_topic_partition_list_s;

namespace riseml::kafka {

// A record as it was received; frees it in the end.
class Record {
 public:
  explicit Record(rd_kafka_message_s* message) : message_(message) {}
  int partition() const;
  std::int64_t position() const;
  absl::string_view value() const;

 private:
  struct Free {
    void operator()(rd_kafka_message_s* message) const;
  };
  std::unique_ptr<rd_kafka_message_s, Free> message_;
};

// Nothing more is received from a partition until a seek: its position does not exist.
struct PositionLost {
  int partition = 0;
};
using Polled = std::variant<std::monostate, Record, PositionLost, absl::Status>;

// Positions of the oldest record of a partition, and of the next one to come.
struct Watermarks {
  std::int64_t oldest = 0, next = 0;
};

struct Membership {
  std::string group;     // name of the consumer group
  std::string instance;  // name of this process in the group, which it keeps across restarts
  // Called from within Poll and the destructor. `assigned` returns the position at which each partition begins; a
  // partition that it leaves out is not consumed. All partitions are revoked before others are assigned.
  std::function<std::map<int, std::int64_t>(const std::vector<int>& partitions)> assigned;
  std::function<void()> revoked;
};

// Used by one thread.
class Consumer {
 public:
  // Joins a group, which shares the partitions out among its members.
  static absl::StatusOr<std::unique_ptr<Consumer>> Join(const config::v1::Kafka& settings, Membership membership);
  // Makes a consumer without a group, which receives nothing until Assign.
  static absl::StatusOr<std::unique_ptr<Consumer>> Alone(const config::v1::Kafka& settings, const std::string& group);
  ~Consumer();

  // Takes partitions, each from a position on.
  absl::Status Assign(const std::map<int, std::int64_t>& positions);

  // Waits for the next event. A status is an error of the whole topic.
  Polled Poll(absl::Duration timeout);

  // Continues a partition at another position. Records polled before may still be in the hands of the caller.
  absl::Status Seek(int partition, std::int64_t position);

  // Asks a broker.
  absl::StatusOr<Watermarks> QueryWatermarks(int partition, absl::Duration timeout);
  // Returns the newest values this consumer has heard of.
  Watermarks LastWatermarks(int partition);

  // Tells Kafka positions, which are only shown to administrators. Does not wait.
  void Commit(const std::map<int, std::int64_t>& positions);

 private:
  struct Free {
    void operator()(rd_kafka_s* client) const;
  };
  Consumer(std::string topic, Membership membership) : topic_(std::move(topic)), membership_(std::move(membership)) {}
  static absl::StatusOr<std::unique_ptr<Consumer>> Make(const config::v1::Kafka& settings, Membership membership);
  static void OnRebalance(rd_kafka_s* client, int code, rd_kafka_topic_partition_list_s* partitions, void* opaque);
  void Rebalance(int code, rd_kafka_topic_partition_list_s* partitions);
  absl::StatusOr<std::int64_t> QueryPosition(int partition, std::int64_t which, absl::Duration timeout);
  void NoteError(int code, const char* text);

  const std::string topic_;
  const Membership membership_;
  absl::Status error_;           // not returned by Poll yet
  bool topic_vanished_ = false;  // while it was read
  std::unique_ptr<rd_kafka_s, Free> client_;
};

}  // namespace riseml::kafka
