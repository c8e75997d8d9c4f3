// A Kafka cluster inside of the test's process, which answers with errors that the test has chosen (librdkafka's mock).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "riseml/config/v1/kafka.pb.h"

struct rd_kafka_s;
struct rd_kafka_mock_cluster_s;

namespace riseml::fixtures {

// Kinds of requests, with their numbers in Kafka's protocol.
enum class KafkaRequest { kProduce = 0, kFetch = 1, kOffsetCommit = 8, kJoinGroup = 11, kHeartbeat = 12 };

// Errors, with their numbers in Kafka's protocol.
enum class KafkaError {
  kNotLeader = 6,
  kRequestTimedOut = 7,
  kMessageTooLarge = 10,
  kNotCoordinator = 16,
  kNotEnoughReplicas = 19,
  kUnknownMember = 25,
  kTopicAuthorizationFailed = 29,
  kOutOfOrderSequence = 45,
  kStorageError = 56,
};

// Keeps records in memory, 5 MiB per partition. Brokers are numbered from 1. Clients must end before it.
class KafkaMock {
 public:
  // A test that cannot have one aborts with the reason.
  explicit KafkaMock(int brokers = 1);
  ~KafkaMock();

  // Makes a topic with so many partitions, and one of dead letters; returns their complete settings.
  config::v1::Kafka NewTopic(int partitions);

  // Answers the next requests of a kind with these errors, one for each request.
  void FailNext(KafkaRequest request, const std::vector<KafkaError>& errors);
  // Makes a broker the coordinator of a consumer group.
  void SetCoordinator(const std::string& group, int broker);
  // Makes a broker the leader of a partition.
  void SetLeader(const config::v1::Kafka& settings, int partition, int broker);
  // Closes the connections of a broker and refuses new ones, until StartBroker.
  void StopBroker(int broker);
  void StartBroker(int broker);

 private:
  struct Free {
    void operator()(rd_kafka_s* client) const;
    void operator()(rd_kafka_mock_cluster_s* cluster) const;
  };
  void MakeTopic(const std::string& name, int partitions);

  const int brokers_;
  std::unique_ptr<rd_kafka_s, Free> client_;  // the cluster runs within it
  std::unique_ptr<rd_kafka_mock_cluster_s, Free> cluster_;
  int topics_ = 0;
};

}  // namespace riseml::fixtures
