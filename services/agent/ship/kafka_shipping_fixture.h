// A shipper that writes to a topic, and the log that a reader puts together from its records.
#pragma once

#include <gtest/gtest.h>
#include <zstd.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/attempt_files.pb.h"
#include "riseml/internal/v1/log_record.pb.h"
#include "services/agent/ship/kafka_log_transport.h"
#include "services/agent/ship/shipping_fixture.h"
#include "services/common/kafka/consumer.h"
#include "services/common/kafka/settings.h"

namespace riseml::agent::testing {

inline constexpr absl::Duration kTimeout = absl::Seconds(20);

class KafkaShippingTest : public ShippingTest {
 protected:
  // The topic of `settings` exists, or is made by the test.
  explicit KafkaShippingTest(config::v1::Kafka settings) : settings_(std::move(settings)) {}
  ~KafkaShippingTest() override { StopShipping(); }  // before the settings that it reads

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
    bool in_order = true;  // each record begins at or before the end of those before it
  };
  // Puts together what the partition holds, as the log handler does: a record that is ahead of the others waits for
  // them.
  Received Receive() {
    Received all;
    std::vector<v1::LogBlock> ahead;
    const auto add = [&](const v1::LogBlock& block) {
      const auto have = static_cast<std::int64_t>(all.bytes.size());
      if (block.first_offset() > have) return false;
      if (block.first_offset() + block.raw_length() > have)
        all.bytes += BytesOf(block).substr(static_cast<std::size_t>(have - block.first_offset()));
      return true;
    };
    for (const internal::v1::LogRecord& record : Records()) {
      EXPECT_EQ(record.job_uid(), stream_.job_uid);
      if (record.has_end()) {
        all.final_offset = record.end().final_offset();
      } else if (!add(record.block())) {
        all.in_order = false;
        ahead.push_back(record.block());
      }
    }
    for (bool any = true; any;) any = std::erase_if(ahead, add) > 0;
    EXPECT_TRUE(ahead.empty()) << "the bytes before " << ahead[0].first_offset() << " are missing";
    return all;
  }
  Received ExpectExactLog() {
    Received received = Receive();
    EXPECT_TRUE(received.bytes == printed_) << received.bytes.size() << " bytes instead of " << printed_.size();
    EXPECT_EQ(received.final_offset, static_cast<std::int64_t>(printed_.size()));
    return received;
  }

  const AttemptId stream_{NewUuid(), 1};
  config::v1::Kafka settings_;

 private:
  std::vector<internal::v1::LogRecord> Records() {
    std::vector<internal::v1::LogRecord> records;
    const int partition = kafka::PartitionOf(stream_.job_uid, settings_.partitions());
    auto consumer = *kafka::Consumer::Alone(settings_, "test");
    absl::StatusOr<kafka::Watermarks> marks = consumer->QueryWatermarks(partition, kTimeout);
    while (!marks.ok()) marks = consumer->QueryWatermarks(partition, kTimeout);  // a new topic has no leader yet
    EXPECT_TRUE(consumer->Assign({{partition, marks->oldest}}).ok());
    for (std::int64_t next = marks->oldest; next < marks->next;) {
      kafka::Polled polled = consumer->Poll(absl::Seconds(1));
      const auto* received = std::get_if<kafka::Record>(&polled);
      if (received == nullptr) continue;
      next = received->position() + 1;
      EXPECT_TRUE(
          records.emplace_back().ParseFromArray(received->value().data(), static_cast<int>(received->value().size())));
    }
    return records;
  }
  static std::string BytesOf(const v1::LogBlock& block) {
    if (block.coding() == v1::LogBlock::PLAIN) return block.data();
    std::string bytes(static_cast<std::size_t>(block.raw_length()), '#');
    if (block.coding() == v1::LogBlock::ZSTD)
      ZSTD_decompress(bytes.data(), bytes.size(), block.data().data(), block.data().size());
    return bytes;
  }

  int line_ = 0;
};

}  // namespace riseml::agent::testing
