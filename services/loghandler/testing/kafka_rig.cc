// A partition of a real Kafka broker, and the consumer of the log handler that reads it.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>
#include <utility>
#include <vector>

#include "riseml/internal/v1/log_storage.pb.h"
#include "services/common/kafka/admin.h"
#include "services/common/kafka/producer.h"
#include "services/common/kafka/settings.h"
#include "services/common/testing/kafka_broker.h"
#include "services/loghandler/partitions/partition_consumer.h"
#include "services/loghandler/testing/source_rig.h"

namespace riseml::loghandler {
namespace {

fixtures::KafkaBroker& Broker() {
  static auto* const broker = new fixtures::KafkaBroker();
  static const struct AtExit {
    ~AtExit() { delete broker; }
  } at_exit;
  return *broker;
}

class KafkaRig final : public SourceRig {
 public:
  KafkaRig() : settings_(Broker().NewTopic(1)) {
    EXPECT_TRUE(kafka::CreateTopics(settings_, absl::Seconds(20)).ok());
    auto producer = kafka::Producer::Make(settings_, settings_.topic(), {});
    EXPECT_TRUE(producer.ok()) << producer.status();
    producer_ = *std::move(producer);
  }
  ~KafkaRig() override { Stop(); }

  StreamId Add(const std::string& log) override {
    const StreamId id{NewUuid(), 1};
    logs_[id] = log;
    return id;
  }
  void Send(const StreamId& id, std::int64_t first, std::int64_t length) override {
    internal::v1::LogRecord record = EmptyRecord(id);
    *record.mutable_block() = ZstdBlock(first, absl::string_view(logs_.at(id)).substr(first, length));
    Produce(record);
  }
  void SendEnd(const StreamId& id) override {
    internal::v1::LogRecord record = EmptyRecord(id);
    record.mutable_end()->set_final_offset(static_cast<std::int64_t>(logs_.at(id).size()));
    Produce(record);
  }

  void Start() override {
    options_.dir = data_dir();
    options_.disk = disk_;
    auto store = Store::Open(options_, clock_, metrics_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    core_ = std::make_unique<IngestCore>(*store_, metrics_);
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

  void AwaitDurable(const StreamId& id, std::int64_t bytes) override {
    while ((*store_->Get(id))->state().durable_offset < bytes) std::this_thread::yield();
  }
  bool AwaitComplete() override {
    for (const auto& [id, log] : logs_) {
      while (!Complete(id)) {
        if (disk_->crashed()) return false;
        std::this_thread::yield();
      }
    }
    return true;
  }

  void ExpectNoPromiseIsBroken(Store& store) override {
    std::error_code error;
    for (std::filesystem::directory_iterator it(data_dir() + "/sources", error), end; !error && it != end;
         it.increment(error)) {
      const auto bytes = ReadFile(it->path().string(), 4096);
      internal::v1::LogSourcePosition position;
      ASSERT_TRUE(bytes.ok() && position.ParseFromString(*bytes));
      for (std::int64_t i = 0; i < position.next_position(); ++i) ExpectStored(store, i);
    }
  }

 private:
  void Produce(const internal::v1::LogRecord& record) {
    while (!producer_->Produce(0, record.job_uid(), record.SerializeAsString(), 0).ok()) std::this_thread::yield();
    sent_.push_back(record);
  }
  void ExpectStored(Store& store, std::int64_t position) {
    const internal::v1::LogRecord& record = sent_[position];
    const auto stream = store.Get({record.job_uid(), record.attempt()});
    ASSERT_TRUE(stream.ok()) << stream.status();
    const StreamState state = (*stream)->state();
    if (record.has_block()) {
      EXPECT_GE(state.durable_offset, record.block().first_offset() + record.block().raw_length()) << position;
    } else {
      EXPECT_EQ(state.durable_offset, record.end().final_offset()) << position;
    }
  }
  bool Complete(const StreamId& id) {
    const auto stream = store_->Get(id);
    return stream.ok() && (*stream)->state().complete;
  }

  const config::v1::Kafka settings_;
  prometheus::Registry registry_;
  LogMetrics metrics_{registry_};
  PartitionOwners owners_{[](absl::string_view) { return 0; }};
  std::vector<internal::v1::LogRecord> sent_;
  std::unique_ptr<kafka::Producer> producer_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<IngestCore> core_;
  std::unique_ptr<PartitionConsumer> consumer_;
};

}  // namespace

std::unique_ptr<SourceRig> MakeKafkaRig() { return std::make_unique<KafkaRig>(); }

}  // namespace riseml::loghandler
