#include "services/common/testing/kafka_mock.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "services/common/kafka/settings.h"

namespace riseml::fixtures {
namespace {

void ExpectNone(rd_kafka_resp_err_t error, const std::string& doing) {
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  std::fprintf(stderr, "mock Kafka: %s: %s\n", doing.c_str(), rd_kafka_err2str(error));
  std::abort();
}

}  // namespace

void KafkaMock::Free::operator()(rd_kafka_s* client) const { rd_kafka_destroy(client); }
void KafkaMock::Free::operator()(rd_kafka_mock_cluster_s* cluster) const { rd_kafka_mock_cluster_destroy(cluster); }

KafkaMock::KafkaMock(int brokers) : brokers_(brokers) {
  char why[512] = "";
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  rd_kafka_conf_set_log_cb(conf, nullptr);  // it would miss brokers of its own
  client_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why));
  if (client_ != nullptr) cluster_.reset(rd_kafka_mock_cluster_new(client_.get(), brokers));
  if (cluster_ != nullptr) return;
  std::fprintf(stderr, "mock Kafka: cannot start: %s\n", why);
  std::abort();
}

KafkaMock::~KafkaMock() = default;

config::v1::Kafka KafkaMock::NewTopic(int partitions) {
  config::v1::Kafka settings;
  settings.set_brokers(rd_kafka_mock_cluster_bootstraps(cluster_.get()));
  settings.set_topic(absl::StrCat("logs", ++topics_));
  settings.set_partitions(partitions);
  settings = *kafka::Complete(settings);
  MakeTopic(settings.topic(), partitions);
  MakeTopic(settings.dead_letter_topic(), 1);
  return settings;
}

void KafkaMock::MakeTopic(const std::string& name, int partitions) {
  ExpectNone(rd_kafka_mock_topic_create(cluster_.get(), name.c_str(), partitions, brokers_),
             absl::StrCat("make topic ", name));
}

void KafkaMock::FailNext(KafkaRequest request, const std::vector<KafkaError>& errors) {
  std::vector<rd_kafka_resp_err_t> codes;
  for (const KafkaError error : errors) codes.push_back(static_cast<rd_kafka_resp_err_t>(error));
  rd_kafka_mock_push_request_errors_array(cluster_.get(), static_cast<std::int16_t>(request), codes.size(),
                                          codes.data());
}

void KafkaMock::SetCoordinator(const std::string& group, int broker) {
  ExpectNone(rd_kafka_mock_coordinator_set(cluster_.get(), "group", group.c_str(), broker), "move the coordinator");
}

void KafkaMock::SetLeader(const config::v1::Kafka& settings, int partition, int broker) {
  ExpectNone(rd_kafka_mock_partition_set_leader(cluster_.get(), settings.topic().c_str(), partition, broker),
             "move the leader");
}

void KafkaMock::StopBroker(int broker) {
  ExpectNone(rd_kafka_mock_broker_set_down(cluster_.get(), broker), "stop a broker");
}

void KafkaMock::StartBroker(int broker) {
  ExpectNone(rd_kafka_mock_broker_set_up(cluster_.get(), broker), "start a broker");
}

}  // namespace riseml::fixtures
