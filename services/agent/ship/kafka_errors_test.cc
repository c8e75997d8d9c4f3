// The shipper over a Kafka cluster that answers with errors which a real broker gives rarely.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "services/agent/ship/kafka_shipping_fixture.h"
#include "services/agent/testing.h"
#include "services/common/base/threads/pause.h"
#include "services/common/testing/kafka_mock.h"

namespace riseml::agent {
namespace {

using namespace riseml::agent::testing;
using fixtures::KafkaError;
using fixtures::KafkaRequest;

constexpr int kBrokers = 3;

// A base, so that it lives longer than the shipper.
struct WithMock {
  fixtures::KafkaMock mock{kBrokers};
};

class KafkaErrorsTest : private WithMock, public KafkaShippingTest {
 protected:
  KafkaErrorsTest() : KafkaShippingTest(mock.NewTopic(4)) {}

  // Answers the next requests of the producer with these errors, while a job prints and ends.
  void ShipThrough(const std::vector<KafkaError>& errors) {
    StartShipping();
    PrintLines(1000);
    ASSERT_TRUE(Eventually([&] { return Receive().bytes == printed_; }));
    mock.FailNext(KafkaRequest::kProduce, errors);
    for (int i = 0; i < 30; ++i) {
      PrintLines(300);
      Pause({}, absl::Milliseconds(10));
    }
    End();
    WaitUntilComplete();
    ExpectExactLog();
  }
  // Does the same, and returns the lines that the shipper has logged about its calls.
  std::vector<std::string> ComplaintsAbout(const std::vector<KafkaError>& errors) {
    ::testing::internal::CaptureStderr();
    ShipThrough(errors);
    std::vector<std::string> complaints;
    for (const absl::string_view line : absl::StrSplit(::testing::internal::GetCapturedStderr(), '\n'))
      if (absl::StrContains(line, "log_call_over")) complaints.emplace_back(line);
    return complaints;
  }

  using WithMock::mock;
};

TEST_F(KafkaErrorsTest, ErrorsThatPassAreHiddenByTheClient) {
  EXPECT_TRUE(ComplaintsAbout({KafkaError::kNotLeader, KafkaError::kRequestTimedOut, KafkaError::kNotEnoughReplicas,
                               KafkaError::kRequestTimedOut, KafkaError::kNotLeader})
                  .empty());
}

TEST_F(KafkaErrorsTest, ALostSequenceIsFollowedByANewProducerAtTheAcknowledgedOffset) {
  const std::vector<std::string> complaints = ComplaintsAbout({KafkaError::kOutOfOrderSequence});
  ASSERT_EQ(complaints.size(), 1U);
  EXPECT_TRUE(absl::StrContains(complaints[0], "a new producer goes on")) << complaints[0];
}

TEST_F(KafkaErrorsTest, ARecordThatIsTooLargeForTheTopicIsToldOnceAndTriedAgain) {
  const std::vector<std::string> complaints = ComplaintsAbout(std::vector(4, KafkaError::kMessageTooLarge));
  ASSERT_EQ(complaints.size(), 1U);
  EXPECT_TRUE(absl::StrContains(complaints[0], "set max.message.bytes of the topic to 1000000 or more"))
      << complaints[0];
}

TEST_F(KafkaErrorsTest, AMissingRightIsToldOnceAndTriedAgainEvenLongAfterTheEnd) {
  options_.refusal_limit = absl::ZeroDuration();
  const std::vector<std::string> complaints = ComplaintsAbout(std::vector(40, KafkaError::kTopicAuthorizationFailed));
  ASSERT_EQ(complaints.size(), 1U);
  EXPECT_TRUE(absl::StrContains(complaints[0], "give this service its ACL on the topic")) << complaints[0];
}

TEST_F(KafkaErrorsTest, LeadersThatMoveAndBrokersThatLeaveOnlyDelay) {
  StartShipping();
  for (int broker = 1; broker <= kBrokers; ++broker) {
    for (int partition = 0; partition < settings_.partitions(); ++partition)
      mock.SetLeader(settings_, partition, broker);
    const int other = broker % kBrokers + 1;
    mock.StopBroker(other);
    for (int i = 0; i < 10; ++i) {
      PrintLines(1000);
      Pause({}, absl::Milliseconds(10));
    }
    mock.StartBroker(other);
  }
  End();
  WaitUntilComplete();
  ExpectExactLog();
}

}  // namespace
}  // namespace riseml::agent
