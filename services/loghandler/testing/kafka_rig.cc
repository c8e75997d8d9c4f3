// A partition of a real Kafka broker, and the consumer of the log handler that reads it.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>
#include <utility>

#include "riseml/internal/v1/log_storage.pb.h"
#include "services/common/kafka/admin.h"
#include "services/common/kafka/producer.h"
#include "services/common/kafka/settings.h"
#include "services/common/testing/kafka_broker.h"
#include "services/loghandler/partitions/partition_consumer.h"
#include "services/loghandler/testing/seeking_rig.h"

namespace riseml::loghandler {
namespace {

fixtures::KafkaBroker& Broker() {
  static auto* const broker = new fixtures::KafkaBroker();
  static const struct AtExit {
    ~AtExit() { delete broker; }
  } at_exit;
  return *broker;
}

class KafkaRig final : public SeekingRig {
 public:
  KafkaRig() : settings_(Broker().NewTopic(1)) {
    EXPECT_TRUE(kafka::CreateTopics(settings_, absl::Seconds(20)).ok());
    auto producer = kafka::Producer::Make(settings_, settings_.topic(), {});
    EXPECT_TRUE(producer.ok()) << producer.status();
    producer_ = *std::move(producer);
  }
  ~KafkaRig() override { Stop(); }

  void Start() override {
    OpenStore();
    PartitionConsumerOptions options;
    options.kafka = settings_;
    options.group = "rig";
    options.store_dir = data_dir();
    options.reader.search_delay = absl::ZeroDuration();
    options.reader.patience = absl::Hours(1);
    consumer_ = std::make_unique<PartitionConsumer>(options, *store_, *core_, owners_, metrics_, clock_);
  }
  void Stop() override {
    if (store_ == nullptr) return;
    consumer_.reset();
    store_->Stop();
    core_.reset();
    store_.reset();
  }

  void ExpectNoPromiseIsBroken(Store& store) override {
    std::error_code error;
    for (std::filesystem::directory_iterator it(data_dir() + "/sources", error), end; !error && it != end;
         it.increment(error)) {
      const auto bytes = ReadFile(it->path().string(), 4096);
      internal::v1::LogSourcePosition position;
      ASSERT_TRUE(bytes.ok() && position.ParseFromString(*bytes));
      ExpectStoredBefore(position.next_position(), store);
    }
  }

 private:
  void Append(const internal::v1::LogRecord& record) override {
    while (!producer_->Produce(0, record.job_uid(), record.SerializeAsString(), 0).ok()) std::this_thread::yield();
  }

  const config::v1::Kafka settings_;
  PartitionOwners owners_{[](absl::string_view) { return 0; }};
  std::unique_ptr<kafka::Producer> producer_;
  std::unique_ptr<PartitionConsumer> consumer_;
};

}  // namespace

std::unique_ptr<SourceRig> MakeKafkaRig() { return std::make_unique<KafkaRig>(); }

}  // namespace riseml::loghandler
