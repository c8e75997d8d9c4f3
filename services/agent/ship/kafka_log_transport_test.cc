// The shipper over a real Kafka broker that is killed, frozen and away.
#include "services/agent/ship/kafka_log_transport.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "services/agent/ship/kafka_shipping_fixture.h"
#include "services/agent/testing.h"
#include "services/common/base/threads/pause.h"
#include "services/common/kafka/admin.h"
#include "services/common/testing/kafka_broker.h"

namespace riseml::agent {
namespace {

using namespace riseml::agent::testing;

class KafkaShipTest : public KafkaShippingTest {
 protected:
  static void SetUpTestSuite() { broker_ = new fixtures::KafkaBroker(); }
  static void TearDownTestSuite() {
    delete broker_;
    broker_ = nullptr;
  }

  KafkaShipTest() : KafkaShippingTest(broker_->NewTopic(8)) {
    EXPECT_TRUE(kafka::CreateTopics(settings_, kTimeout).ok());
  }
  void ExpectExactLogInOrder() { EXPECT_TRUE(ExpectExactLog().in_order); }

  static fixtures::KafkaBroker* broker_;
};
fixtures::KafkaBroker* KafkaShipTest::broker_ = nullptr;

TEST_F(KafkaShipTest, ShipsALogAndItsEnd) {
  StartShipping();
  for (int i = 0; i < 20; ++i) PrintLines(1000);
  End();
  WaitUntilComplete();
  ExpectExactLogInOrder();
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
  ExpectExactLogInOrder();
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
  ExpectExactLogInOrder();
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
  ExpectExactLogInOrder();
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
  EXPECT_TRUE(received.in_order);
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
  ExpectExactLogInOrder();
}

}  // namespace
}  // namespace riseml::agent
