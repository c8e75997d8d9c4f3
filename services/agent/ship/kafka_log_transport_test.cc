// The shipper over a real Kafka broker that is killed, frozen and away.
#include "services/agent/ship/kafka_log_transport.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <variant>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "riseml/internal/v1/log_record.pb.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/ship/shipper.h"
#include "services/agent/ship/shipping_fixture.h"
#include "services/agent/testing.h"
#include "services/common/base/status.h"
#include "services/common/base/threads/pause.h"
#include "services/common/kafka/admin.h"
#include "services/common/kafka/consumer.h"
#include "services/common/kafka/settings.h"
#include "services/common/testing/kafka_broker.h"

namespace riseml::agent {
namespace {

using namespace riseml::agent::testing;

constexpr absl::Duration kTimeout = absl::Seconds(20);

class KafkaShipTest : public ShippingTest {
 protected:
  static void SetUpTestSuite() { broker_ = new fixtures::KafkaBroker(); }
  static void TearDownTestSuite() {
    delete broker_;
    broker_ = nullptr;
  }

  KafkaShipTest() : settings_(broker_->NewTopic(8)) { EXPECT_TRUE(kafka::CreateTopics(settings_, kTimeout).ok()); }
  ~KafkaShipTest() override { StopShipping(); }  // before the settings that it reads

  void PrintLines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) absl::StrAppend(&text, "line ", line_++, "\n");
    Print(text);
  }
  void StartShipping() {
    StartShipper(std::make_unique<KafkaLogTransport>([this] { return settings_; }, stream_),
                 [](const google::protobuf::Struct&, std::int64_t) { return absl::OkStatus(); });
  }
  void WaitUntilComplete() {
    WaitForShipper();
    EXPECT_TRUE(ReadMessage<internal::v1::ShipState>(dir_.shipped())->complete());
  }

  struct Received {
    std::string bytes;  // lost ones as '#'
    std::int64_t final_offset = -1;
    bool holes = false;  // a record began beyond the end of those before it
  };
  // Puts together what the partition holds, as the log handler does.
  Received Receive() {
    Received all;
    const int partition = kafka::PartitionOf(stream_.job_uid, settings_.partitions());
    auto consumer = *kafka::Consumer::Alone(settings_, "test");
    absl::StatusOr<kafka::Watermarks> marks = consumer->QueryWatermarks(partition, kTimeout);
    while (!marks.ok()) marks = consumer->QueryWatermarks(partition, kTimeout);  // a new topic has no leader yet
    const std::int64_t end = marks->next;
    EXPECT_TRUE(consumer->Assign({{partition, 0}}).ok());
    for (std::int64_t next = 0; next < end;) {
      kafka::Polled polled = consumer->Poll(absl::Seconds(1));
      const auto* received = std::get_if<kafka::Record>(&polled);
      if (received == nullptr) continue;
      next = received->position() + 1;
      internal::v1::LogRecord record;
      EXPECT_TRUE(record.ParseFromArray(received->value().data(), static_cast<int>(received->value().size())));
      EXPECT_EQ(record.job_uid(), stream_.job_uid);
      if (record.has_end()) {
        all.final_offset = record.end().final_offset();
        continue;
      }
      const v1::LogBlock& block = record.block();
      std::string bytes(static_cast<std::size_t>(block.raw_length()), '#');
      if (block.coding() == v1::LogBlock::PLAIN) bytes = block.data();
      if (block.coding() == v1::LogBlock::ZSTD)
        ZSTD_decompress(bytes.data(), bytes.size(), block.data().data(), block.data().size());
      const auto have = static_cast<std::int64_t>(all.bytes.size());
      all.holes = all.holes || block.first_offset() > have;
      if (block.first_offset() + block.raw_length() > have)
        all.bytes += bytes.substr(static_cast<std::size_t>(have - block.first_offset()));
    }
    return all;
  }
  void ExpectExactLog() {
    const Received received = Receive();
    EXPECT_FALSE(received.holes);
    EXPECT_TRUE(received.bytes == printed_) << received.bytes.size() << " bytes instead of " << printed_.size();
    EXPECT_EQ(received.final_offset, static_cast<std::int64_t>(printed_.size()));
  }
  std::int64_t Acknowledged() {
    const auto state = ReadMessage<internal::v1::ShipState>(dir_.shipped());
    return state.ok() ? state->acknowledged_offset() : 0;
  }

  static fixtures::KafkaBroker* broker_;
  const AttemptId stream_{NewUuid(), 1};
  config::v1::Kafka settings_;
  int line_ = 0;
};
fixtures::KafkaBroker* KafkaShipTest::broker_ = nullptr;

TEST_F(KafkaShipTest, ShipsALogAndItsEnd) {
  StartShipping();
  for (int i = 0; i < 20; ++i) PrintLines(1000);
  End();
  WaitUntilComplete();
  ExpectExactLog();
}

TEST_F(KafkaShipTest, AKilledShipperGoesOnWithoutAHole) {
  for (int round = 0; round < 5; ++round) {
    StartShipping();
    PrintLines(20'000);
    StopShipping();
  }
  End();
  StartShipping();
  WaitUntilComplete();
  ExpectExactLog();
}

TEST_F(KafkaShipTest, ABrokerThatIsKilledAgainAndAgainOnlyDelays) {
  StartShipping();
  for (int round = 0; round < 3; ++round) {
    PrintLines(50'000);
    broker_->Kill();
    PrintLines(50'000);
    broker_->Start();
  }
  End();
  WaitUntilComplete();
  ExpectExactLog();
}

TEST_F(KafkaShipTest, AFrozenBrokerIsWaitedForAndCallsBeginAnew) {
  options_.stall_limit = absl::Seconds(1);
  StartShipping();
  PrintLines(10'000);
  broker_->Freeze();
  PrintLines(10'000);
  Pause({}, absl::Seconds(4));
  broker_->Thaw();
  End();
  WaitUntilComplete();
  ExpectExactLog();
}

TEST_F(KafkaShipTest, WhileTheBrokerIsAwayTheFileIsTheQueueUpToItsLimitAndTheGapIsExact) {
  options_.unshipped_limit = 1 << 20;
  options_.stall_limit = absl::Seconds(1);
  StartShipping();
  PrintLines(1000);
  const std::size_t before = printed_.size();
  ASSERT_TRUE(Eventually([&] { return Receive().bytes.size() == before; }));
  broker_->Kill();
  for (int i = 0; i < 40; ++i) {
    PrintLines(10'000);
    Pause({}, absl::Milliseconds(50));
  }
  broker_->Start();
  End();
  WaitUntilComplete();
  const Received received = Receive();
  EXPECT_FALSE(received.holes);
  ASSERT_EQ(received.bytes.size(), printed_.size());
  const auto lost = static_cast<std::size_t>(std::ranges::count(received.bytes, '#'));
  EXPECT_GT(lost, printed_.size() / 2);
  bool same = true;
  for (std::size_t i = 0; i < printed_.size(); ++i)
    same = same && (received.bytes[i] == '#' || received.bytes[i] == printed_[i]);
  EXPECT_TRUE(same);
}

TEST_F(KafkaShipTest, AMissingTopicIsWaitedFor) {
  settings_.set_topic(settings_.topic() + "-later");
  StartShipping();
  PrintLines(1000);
  End();
  Pause({}, absl::Seconds(1));
  ASSERT_TRUE(kafka::CreateTopics(settings_, kTimeout).ok());
  WaitUntilComplete();
  ExpectExactLog();
}

}  // namespace
}  // namespace riseml::agent
