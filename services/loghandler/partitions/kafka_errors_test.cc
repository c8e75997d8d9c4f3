// A log handler that reads a Kafka cluster which answers with errors that a real broker gives rarely.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "services/common/base/threads/pause.h"
#include "services/common/testing/kafka_mock.h"
#include "services/loghandler/partitions/partition_claims.h"
#include "services/loghandler/partitions/partitions_fixture.h"

namespace riseml::loghandler {
namespace {

using fixtures::KafkaError;
using fixtures::KafkaRequest;

constexpr int kBrokers = 3;
constexpr char kInstance[] = "logs-0";

// A base, so that it lives longer than the log handlers.
struct WithMock {
  fixtures::KafkaMock mock{kBrokers};
};

class KafkaErrorsTest : private WithMock, public PartitionsTest {
 protected:
  KafkaErrorsTest() : PartitionsTest(mock.NewTopic(4)), id_(api_->AddStream(kRoot, "train")) { NewProducer(); }

  void Print(int pieces) {
    for (int i = 0; i < pieces; ++i) {
      const std::string piece(1000, static_cast<char>('a' + log_.size() / 1000 % 26));
      Put(id_, ZstdBlock(static_cast<std::int64_t>(log_.size()), piece));
      log_ += piece;
    }
  }
  void ExpectExactLog(Handler& handler) {
    PutEnd(id_, static_cast<std::int64_t>(log_.size()));
    EXPECT_EQ(api_->WaitForLog(id_, v1::Attempt::COMPLETE), static_cast<std::int64_t>(log_.size()));
    api_->EndRoot(kRoot);
    TestReader reader = Follow(*handler.stub);
    EXPECT_TRUE(reader.Finish().ok());
    EXPECT_TRUE(reader[id_].bytes == log_);
    EXPECT_EQ(Sum(handler, "riseml_loghandler_lost_bytes_total"), 0);
    EXPECT_EQ(Sum(handler, "riseml_loghandler_position_resets_total"), 0);
    EXPECT_EQ(Sum(handler, "riseml_loghandler_dead_letters_total"), 0);
  }

  using WithMock::mock;
  const StreamId id_;
  std::string log_;
};

TEST_F(KafkaErrorsTest, ErrorsOfFetchesOnlyDelay) {
  Handler& handler = Start();
  TestReader reader = Follow(*handler.stub);
  for (const KafkaError error : {KafkaError::kNotLeader, KafkaError::kRequestTimedOut, KafkaError::kStorageError,
                                 KafkaError::kTopicAuthorizationFailed}) {
    Print(5);
    mock.FailNext(KafkaRequest::kFetch, std::vector(3, error));
    Print(5);
    ASSERT_TRUE(reader.NextUntil([&] { return reader[id_].bytes == log_; }));
  }
  ExpectExactLog(handler);
}

TEST_F(KafkaErrorsTest, AMissingRightToReadIsToldOnceUntilRecordsCome) {
  Handler& handler = Start();
  TestReader reader = Follow(*handler.stub);
  Print(1);
  ASSERT_TRUE(reader.NextUntil([&] { return reader[id_].bytes == log_; }));
  testing::internal::CaptureStderr();
  mock.FailNext(KafkaRequest::kFetch, std::vector(20, KafkaError::kTopicAuthorizationFailed));
  Print(1);
  ASSERT_TRUE(reader.NextUntil([&] { return reader[id_].bytes == log_; }));
  const std::string said = testing::internal::GetCapturedStderr();
  int complaints = 0;
  for (const absl::string_view line : absl::StrSplit(said, '\n'))
    complaints += absl::StrContains(line, "give this service its ACL on the topic") ? 1 : 0;
  EXPECT_GE(complaints, 1);
  EXPECT_LE(complaints, 2);  // a fetch that was under way may bring the record first
  ExpectExactLog(handler);
}

TEST_F(KafkaErrorsTest, LeadersThatMoveAndBrokersThatLeaveOnlyDelay) {
  Handler& handler = Start();
  TestReader reader = Follow(*handler.stub);
  for (int broker = 1; broker <= kBrokers; ++broker) {
    for (int partition = 0; partition < settings_.partitions(); ++partition)
      mock.SetLeader(settings_, partition, broker);
    const int other = broker % kBrokers + 1;
    mock.StopBroker(other);
    Print(5);
    ASSERT_TRUE(reader.NextUntil([&] { return reader[id_].bytes == log_; }));
    mock.StartBroker(other);
  }
  ExpectExactLog(handler);
}

TEST_F(KafkaErrorsTest, ALeaderThatIsAwayWhenPartitionsAreTakenIsNotWaitedFor) {
  const auto lead = [&](int broker) {
    for (int partition = 0; partition < settings_.partitions(); ++partition)
      mock.SetLeader(settings_, partition, broker);
  };
  lead(2);
  mock.StopBroker(2);
  Handler& handler = Start();
  Pause({}, absl::Seconds(1));
  lead(3);
  Await([&] { return Sum(handler, "riseml_loghandler_partitions") == 4; });
  Print(5);
  ExpectExactLog(handler);
}

TEST_F(KafkaErrorsTest, ACoordinatorThatMovesIsFound) {
  mock.SetCoordinator(settings_.topic(), 1);
  Handler& handler = Start(kInstance);
  TestReader reader = Follow(*handler.stub);
  for (int broker = 2; broker <= kBrokers; ++broker) {
    Print(5);
    ASSERT_TRUE(reader.NextUntil([&] { return reader[id_].bytes == log_; }));
    mock.SetCoordinator(settings_.topic(), broker);
    mock.FailNext(KafkaRequest::kHeartbeat, {KafkaError::kNotCoordinator});
    mock.FailNext(KafkaRequest::kOffsetCommit, {KafkaError::kNotCoordinator});
    Print(5);
  }
  ExpectExactLog(handler);
}

TEST_F(KafkaErrorsTest, AMemberThatTheCoordinatorHasForgottenJoinsAgain) {
  Handler& handler = Start(kInstance);
  Await([&] { return Sum(handler, "riseml_loghandler_partitions") == 4; });
  Print(5);
  mock.FailNext(KafkaRequest::kHeartbeat, {KafkaError::kUnknownMember});
  mock.FailNext(KafkaRequest::kJoinGroup, {KafkaError::kNotCoordinator});
  const PartitionClaims claims(dir_.path() + "/data", settings_.topic());
  Await([&] { return claims.Owners()->at(3).generation > 1; });
  Print(5);
  ExpectExactLog(handler);
}

}  // namespace
}  // namespace riseml::loghandler
