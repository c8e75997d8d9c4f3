// Log handlers that read a real Kafka broker: faults of the broker and of the topic, and several log handlers.
#include "services/loghandler/partitions/partition_consumer.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/threads/pause.h"
#include "services/common/kafka/admin.h"
#include "services/common/testing/kafka_broker.h"
#include "services/loghandler/partitions/partitions_fixture.h"

namespace riseml::loghandler {
namespace {

class PartitionConsumerTest : public PartitionsTest {
 protected:
  static void SetUpTestSuite() { broker_ = new fixtures::KafkaBroker(); }
  static void TearDownTestSuite() {
    delete broker_;
    broker_ = nullptr;
  }

  PartitionConsumerTest() : PartitionsTest(broker_->NewTopic(4)) {
    EXPECT_TRUE(kafka::CreateTopics(settings_, kTimeout).ok());
    NewProducer();
  }

  static fixtures::KafkaBroker* broker_;
};

fixtures::KafkaBroker* PartitionConsumerTest::broker_ = nullptr;

TEST_F(PartitionConsumerTest, ALogOverKafkaIsFollowedAndReportedComplete) {
  Handler& handler = Start();
  const StreamId id = api_->AddStream(kRoot, "train");
  Put(id, ZstdBlock(0, "hello "));
  TestReader reader = Follow(*handler.stub);
  ASSERT_TRUE(reader.NextUntil([&] { return reader[id].bytes == "hello "; }));
  Put(id, PlainBlock(6, "world"));
  PutEnd(id, 11);
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), 11);
  api_->EndRoot(kRoot);
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(reader[id].bytes, "hello world");
  EXPECT_TRUE(reader[id].end->complete());
}

TEST_F(PartitionConsumerTest, AKilledAndAFrozenBrokerOnlyDelay) {
  Handler& handler = Start();
  const StreamId id = api_->AddStream(kRoot, "train");
  std::string log;
  const auto print = [&] {
    const std::string piece(1000, static_cast<char>('a' + log.size() / 1000 % 26));
    Put(id, ZstdBlock(static_cast<std::int64_t>(log.size()), piece));
    log += piece;
  };
  TestReader reader = Follow(*handler.stub);
  for (int round = 0; round < 3; ++round) {
    print();
    ASSERT_TRUE(reader.NextUntil([&] { return reader[id].bytes == log; }));
    broker_->Kill();
    print();
    broker_->Start();
    print();
    ASSERT_TRUE(reader.NextUntil([&] { return reader[id].bytes == log; }));
    broker_->Freeze();
    print();
    broker_->Thaw();
    ASSERT_TRUE(reader.NextUntil([&] { return reader[id].bytes == log; }));
  }
  PutEnd(id, static_cast<std::int64_t>(log.size()));
  api_->WaitForLog(id, v1::Attempt::COMPLETE);
  EXPECT_EQ(Sum(handler, "riseml_loghandler_lost_bytes_total"), 0);
}

TEST_F(PartitionConsumerTest, ADeletedTopicIsReportedAndIsAGapOfTheLog) {
  Handler& handler = Start();
  const StreamId id = api_->AddStream(kRoot, "train");
  Put(id, PlainBlock(0, "abc"));
  TestReader reader = Follow(*handler.stub);
  ASSERT_TRUE(reader.NextUntil([&] { return reader[id].bytes == "abc"; }));
  ASSERT_TRUE(kafka::DeleteTopic(settings_, settings_.topic(), kTimeout).ok());
  Await([&] { return Sum(handler, "riseml_loghandler_partitions") == 0; });
  Await([&] { return kafka::CreateTopics(settings_, kTimeout).ok(); });
  NewProducer();
  Put(id, PlainBlock(10, "klm"));  // what was acknowledged before is gone
  PutEnd(id, 13);
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), 13);
  api_->EndRoot(kRoot);
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(reader[id].bytes, "abc#######klm");
  EXPECT_EQ(reader[id].gaps, 1);
  EXPECT_EQ(Sum(handler, "riseml_loghandler_lost_bytes_total"), 7);
  EXPECT_GE(Sum(handler, "riseml_loghandler_position_resets_total"), 1);
}

TEST_F(PartitionConsumerTest, ATopicMadeAnewWhileNobodyReadIsNoticed) {
  const StreamId id = api_->AddStream(kRoot, "train");
  Start();
  for (int i = 0; i < 5; ++i) Put(id, PlainBlock(3 * i, "abc"));
  TestReader reader = Follow(*handlers_[""].stub);
  ASSERT_TRUE(reader.NextUntil([&] { return reader[id].bytes.size() == 15; }));
  handlers_[""].handler.reset();
  ASSERT_TRUE(kafka::DeleteTopic(settings_, settings_.topic(), kTimeout).ok());
  Await([&] { return kafka::CreateTopics(settings_, kTimeout).ok(); });
  NewProducer();
  Put(id, PlainBlock(15, "end"));
  PutEnd(id, 18);
  handlers_.clear();
  Handler& handler = Start();
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), 18);
  EXPECT_GE(Sum(handler, "riseml_loghandler_position_resets_total"), 1);
  EXPECT_EQ(Sum(handler, "riseml_loghandler_lost_bytes_total"), 0);
}

TEST_F(PartitionConsumerTest, ATopicMadeAnewThatHasGrownFurtherThanTheOldOneIsNoticed) {
  const StreamId id = api_->AddStream(kRoot, "train");
  StreamId other = api_->AddStream(kRoot, "other");
  const auto partition_of = [&](const StreamId& one) {
    return kafka::PartitionOf(one.job_uid, settings_.partitions());
  };
  for (int i = 0; partition_of(other) != partition_of(id); ++i)
    other = api_->AddStream(kRoot, absl::StrCat("other", i));
  Start();
  for (int i = 0; i < 5; ++i) Put(id, PlainBlock(3 * i, "abc"));
  PutEnd(id, 15);
  api_->WaitForLog(id, v1::Attempt::COMPLETE);
  handlers_.clear();
  ASSERT_TRUE(kafka::DeleteTopic(settings_, settings_.topic(), kTimeout).ok());
  Await([&] { return kafka::CreateTopics(settings_, kTimeout).ok(); });
  NewProducer();
  for (int i = 0; i < 10; ++i) Put(other, PlainBlock(3 * i, "xyz"));
  PutEnd(other, 30);
  Handler& handler = Start();
  EXPECT_EQ(api_->WaitForLog(other, v1::Attempt::COMPLETE), 30);
  EXPECT_EQ(Sum(handler, "riseml_loghandler_position_resets_total"), 1);
  EXPECT_EQ(Sum(handler, "riseml_loghandler_lost_bytes_total"), 0);
}

TEST_F(PartitionConsumerTest, RecordsRemovedBeforeTheyWereReadAreAGap) {
  const StreamId id = api_->AddStream(kRoot, "train");
  const int partition = kafka::PartitionOf(id.job_uid, settings_.partitions());
  Start();
  Put(id, PlainBlock(0, "abc"));
  TestReader reader = Follow(*handlers_[""].stub);
  ASSERT_TRUE(reader.NextUntil([&] { return reader[id].bytes == "abc"; }));
  handlers_[""].handler.reset();
  for (int i = 1; i < 5; ++i) Put(id, PlainBlock(3 * i, "xyz"));
  PutEnd(id, 15);
  Await([&] { return kafka::DeleteRecords(settings_, partition, 4, kTimeout).ok(); });
  handlers_.clear();
  Handler& handler = Start();
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), 15);
  TestReader again = Follow(*handler.stub);
  api_->EndRoot(kRoot);
  EXPECT_TRUE(again.Finish().ok());
  EXPECT_EQ(again[id].bytes, "abc#########xyz");
  EXPECT_EQ(Sum(handler, "riseml_loghandler_lost_bytes_total"), 9);
}

TEST_F(PartitionConsumerTest, ARecordThatCannotBeReadGoesToTheDeadLetters) {
  Handler& handler = Start();
  const StreamId id = api_->AddStream(kRoot, "train");
  const int partition = kafka::PartitionOf(id.job_uid, settings_.partitions());
  ASSERT_TRUE(producer_->Produce(partition, "", "no record", 0).ok());
  Put(id, PlainBlock(0, "abc"));
  PutEnd(id, 3);
  api_->WaitForLog(id, v1::Attempt::COMPLETE);
  EXPECT_EQ(Sum(handler, "riseml_loghandler_dead_letters_total"), 1);
  config::v1::Kafka dead = settings_;
  dead.set_topic(settings_.dead_letter_topic());
  auto consumer = *kafka::Consumer::Alone(dead, "test");
  ASSERT_TRUE(consumer->Assign({{0, 0}}).ok());
  while (true) {
    kafka::Polled polled = consumer->Poll(absl::Seconds(1));
    if (const auto* record = std::get_if<kafka::Record>(&polled)) {
      EXPECT_EQ(record->value(), "no record");
      break;
    }
  }
}

TEST_F(PartitionConsumerTest, CommittedOffsetsThatAreResetChangeNothing) {
  const StreamId id = api_->AddStream(kRoot, "train");
  Start("a");
  std::int64_t size = 0;
  for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{1'000'000}}) {
    for (int i = 0; i < 5; ++i, size += 3) Put(id, PlainBlock(size, "abc"));
    TestReader reader = Follow(*handlers_["a"].stub);
    ASSERT_TRUE(reader.NextUntil([&] { return static_cast<std::int64_t>(reader[id].bytes.size()) == size; }));
    handlers_.clear();
    Await([&] { return broker_->ResetOffsets(settings_, settings_.topic(), offset).ok(); });  // once it has no member
    Start("a");
  }
  PutEnd(id, size);
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), size);
  EXPECT_EQ(Sum(handlers_["a"], "riseml_loghandler_position_resets_total"), 0);
  EXPECT_EQ(Sum(handlers_["a"], "riseml_loghandler_lost_bytes_total"), 0);
}

TEST_F(PartitionConsumerTest, ABrokerFrozenForLongerThanASessionTakesThePartitionsAwayAndNothingIsLostOrRepeated) {
  Handler& a = Start("a");
  Handler& b = Start("b");
  const auto partitions = [&] {
    return Sum(a, "riseml_loghandler_partitions") + Sum(b, "riseml_loghandler_partitions");
  };
  Await([&] { return partitions() == 4; });
  std::map<StreamId, std::string> printed;
  for (int i = 0; i < 8; ++i) printed[api_->AddStream(kRoot, absl::StrCat("train", i))];
  std::jthread printer([&](const std::stop_token& stop) {
    for (int line = 0; Pause(stop, absl::Milliseconds(200)); ++line) {
      for (auto& [id, log] : printed) {
        const std::string text = absl::StrCat("line ", line, "\n");
        Put(id, PlainBlock(static_cast<std::int64_t>(log.size()), text));
        log += text;
      }
    }
  });
  Pause({}, absl::Seconds(1));
  broker_->Freeze();
  const absl::Time frozen = clock_.Now();
  Await([&] { return partitions() == 0; });
  Pause({}, frozen + absl::Seconds(20) - clock_.Now());
  broker_->Thaw();
  Await([&] { return partitions() == 4; });
  printer = {};
  for (const auto& [id, log] : printed) PutEnd(id, static_cast<std::int64_t>(log.size()));
  for (const auto& [id, log] : printed)
    EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), static_cast<std::int64_t>(log.size()));
  api_->EndRoot(kRoot);
  TestReader of_a = Follow(*a.stub), of_b = Follow(*b.stub);
  EXPECT_TRUE(of_a.Finish().ok());
  EXPECT_TRUE(of_b.Finish().ok());
  for (const auto& [id, log] : printed) EXPECT_EQ(of_a[id].owner ? of_b[id].bytes : of_a[id].bytes, log);
  EXPECT_EQ(Sum(a, "riseml_loghandler_lost_bytes_total") + Sum(b, "riseml_loghandler_lost_bytes_total"), 0);
}

TEST_F(PartitionConsumerTest, TwoLogHandlersShareThePartitionsAndOneTakesOverFromTheOther) {
  Handler& a = Start("a");
  Await([&] { return Sum(a, "riseml_loghandler_partitions") == 4; });
  Handler& b = Start("b");
  Await([&] { return Sum(a, "riseml_loghandler_partitions") == 2 && Sum(b, "riseml_loghandler_partitions") == 2; });
  // Streams of all partitions; each log handler shows its own and names the owner of the others.
  std::vector<StreamId> ids;
  for (int i = 0; i < 16; ++i) ids.push_back(api_->AddStream(kRoot, absl::StrCat("train", i)));
  for (const StreamId& id : ids) Put(id, PlainBlock(0, "first "));
  const std::string address_of_a = absl::StrCat("127.0.0.1:", a.handler->port());
  TestReader of_b = Follow(*b.stub);
  ASSERT_TRUE(of_b.NextUntil([&] {
    return std::ranges::all_of(ids, [&](const StreamId& id) { return of_b[id].bytes == "first " || of_b[id].owner; });
  }));
  TestReader of_a = Follow(*a.stub);
  std::set<StreamId> moved;
  for (const StreamId& id : ids)
    if (of_b[id].owner) moved.insert(id);
  ASSERT_FALSE(moved.empty());
  ASSERT_LT(moved.size(), ids.size());
  EXPECT_EQ(of_b[*moved.begin()].owner->address(), address_of_a);
  ASSERT_TRUE(of_a.NextUntil(
      [&] { return std::ranges::all_of(moved, [&](const StreamId& id) { return of_a[id].bytes == "first "; }); }));
  // A member that leaves like this is not missed before its session is over, as after kill -9.
  for (const StreamId& id : ids) Put(id, PlainBlock(6, "second "));
  a.handler.reset();
  const absl::Time gone = clock_.Now();
  for (const StreamId& id : ids) {
    Put(id, PlainBlock(13, "third"));
    PutEnd(id, 18);
  }
  EXPECT_FALSE(of_a.Finish().ok());
  const StreamId id = *moved.begin();
  Await([&] { return Sum(b, "riseml_loghandler_partitions") == 4; });
  EXPECT_LT(clock_.Now() - gone, absl::Seconds(15));
  TestReader again = Follow(*b.stub, id, of_a[id].next());
  for (const StreamId& one : ids) EXPECT_EQ(api_->WaitForLog(one, v1::Attempt::COMPLETE), 18);
  api_->EndRoot(kRoot);
  EXPECT_TRUE(again.Finish().ok());
  EXPECT_EQ(of_a[id].bytes + again[id].bytes, "first second third");
  for (const StreamId& one : ids) {
    if (one == id) continue;
    EXPECT_EQ(again[one].bytes, "first second third");
  }
}

}  // namespace
}  // namespace riseml::loghandler
