// Clients of Kafka against a real broker: round trips, TLS, SASL, access control.
#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>

#include "services/common/base/mutex.h"
#include "services/common/kafka/admin.h"
#include "services/common/kafka/consumer.h"
#include "services/common/kafka/producer.h"
#include "services/common/kafka/settings.h"
#include "services/common/testing/kafka_broker.h"

namespace riseml::kafka {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(20);

TEST(KafkaSettingsTest, DefaultsAreFilledIn) {
  config::v1::Kafka settings;
  settings.set_brokers("b:9092");
  const auto complete = Complete(settings);
  ASSERT_TRUE(complete.ok()) << complete.status();
  EXPECT_EQ(complete->topic(), "riseml.logs.v1");
  EXPECT_EQ(complete->dead_letter_topic(), "riseml.logs.v1.dead");
  EXPECT_EQ(complete->partitions(), 64);
}

TEST(KafkaSettingsTest, AllProblemsAreNamed) {
  config::v1::Kafka settings;
  settings.set_topic("../x");
  settings.set_partitions(-1);
  settings.set_sasl_mechanism("PLAIN");
  const std::string message(Complete(settings).status().message());
  for (const char* field : {"brokers", "topic", "partitions", "sasl_mechanism"})
    EXPECT_NE(message.find(field), std::string::npos) << message;
}

TEST(KafkaSettingsTest, APartitionDependsOnTheJobAlone) {
  EXPECT_EQ(PartitionOf("3f0c9c0e-0000-4000-8000-000000000001", 64),
            PartitionOf("3f0c9c0e-0000-4000-8000-000000000001", 64));
  std::set<int> used;
  for (int i = 0; i < 2000; ++i) used.insert(PartitionOf("job" + std::to_string(i), 64));
  EXPECT_EQ(used.size(), 64u);
}

// Waits for reports about records.
class Reports {
 public:
  ProducerEvents Events() {
    ProducerEvents events;
    events.delivered = [this](std::int64_t tag, const absl::Status& status) {
      MutexLock lock(mu_);
      delivered_[tag] = status;
      changed_.notify_all();
    };
    events.broken = [this](const absl::Status& status) {
      MutexLock lock(mu_);
      broken_ = status;
      changed_.notify_all();
    };
    return events;
  }
  absl::Status Of(std::int64_t tag) {
    MutexLock lock(mu_);
    changed_.wait(mu_, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return delivered_.contains(tag) || !broken_.ok(); });
    return broken_.ok() ? delivered_[tag] : broken_;
  }

 private:
  Mutex mu_;
  std::condition_variable_any changed_;
  std::map<std::int64_t, absl::Status> delivered_ ABSL_GUARDED_BY(mu_);
  absl::Status broken_ ABSL_GUARDED_BY(mu_);
};

class KafkaTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { broker_ = new fixtures::KafkaBroker({"--sasl", "--tls", "--acl"}); }
  static void TearDownTestSuite() {
    delete broker_;
    broker_ = nullptr;
  }
  static absl::Status StoreOne(const config::v1::Kafka& settings) {
    Reports reports;
    auto producer = Producer::Make(settings, settings.topic(), reports.Events());
    if (!producer.ok()) return producer.status();
    const absl::Status queued = (*producer)->Produce(0, "key", "value", 1);
    return queued.ok() ? reports.Of(1) : queued;
  }
  static fixtures::KafkaBroker* broker_;
};
fixtures::KafkaBroker* KafkaTest::broker_ = nullptr;

TEST_F(KafkaTest, RecordsComeInOrderFromAnyPosition) {
  const config::v1::Kafka settings = broker_->NewTopic(2);
  EXPECT_TRUE(absl::IsNotFound(CheckTopic(settings, kTimeout)));
  ASSERT_TRUE(CreateTopics(settings, kTimeout).ok());
  EXPECT_TRUE(CreateTopics(settings, kTimeout).ok()) << "again";
  config::v1::Kafka other = settings;
  other.set_partitions(3);
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckTopic(other, kTimeout)));
  Reports reports;
  auto producer = *Producer::Make(settings, settings.topic(), reports.Events());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(producer->Produce(1, "key", std::to_string(i), i).ok());
  EXPECT_TRUE(reports.Of(99).ok());
  auto consumer = *Consumer::Alone(settings, "test");
  ASSERT_TRUE(consumer->Assign({{0, 0}, {1, 10}}).ok());
  const auto expect = [&](int first, int last) {
    for (int i = first; i <= last;) {
      Polled polled = consumer->Poll(absl::Seconds(1));
      if (std::holds_alternative<std::monostate>(polled)) continue;
      ASSERT_TRUE(std::holds_alternative<Record>(polled));
      EXPECT_EQ(std::get<Record>(polled).value(), std::to_string(i++));
    }
  };
  expect(10, 99);
  ASSERT_TRUE(consumer->Seek(1, 5).ok());
  expect(5, 50);
  ASSERT_TRUE(consumer->Seek(1, 90).ok());
  expect(90, 99);
  const auto marks = consumer->QueryWatermarks(1, kTimeout);
  ASSERT_TRUE(marks.ok());
  EXPECT_EQ(marks->oldest, 0);
  EXPECT_EQ(marks->next, 100);
  ASSERT_TRUE(consumer->Seek(1, 1000).ok());
  while (true) {
    const Polled polled = consumer->Poll(absl::Seconds(1));
    if (std::holds_alternative<std::monostate>(polled)) continue;
    ASSERT_TRUE(std::holds_alternative<PositionLost>(polled));
    break;
  }
}

TEST_F(KafkaTest, TlsIsUsed) {
  const config::v1::Kafka settings = broker_->NewTopic(1);
  ASSERT_TRUE(CreateTopics(settings, kTimeout).ok());
  EXPECT_TRUE(StoreOne(broker_->WithTls(settings)).ok());
}

TEST_F(KafkaTest, APasswordIsNeededAndAnAclForTheTopic) {
  const config::v1::Kafka settings = broker_->NewTopic(1);
  ASSERT_TRUE(CreateTopics(settings, kTimeout).ok());
  EXPECT_TRUE(StoreOne(broker_->WithSasl(settings, "admin", "admin-secret")).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(StoreOne(broker_->WithSasl(settings, "agent", "wrong"))));
  const absl::Status denied = StoreOne(broker_->WithSasl(settings, "agent", "agent-secret"));
  EXPECT_TRUE(absl::IsPermissionDenied(denied)) << denied;
}

TEST_F(KafkaTest, EachServiceHasExactlyTheRightsItNeeds) {
  const config::v1::Kafka settings = broker_->NewTopic(1);
  ASSERT_TRUE(CreateTopics(settings, kTimeout).ok());
  const absl::Status made = CreateAcls(settings, "agent", "loghandler", "group", kTimeout);
  ASSERT_TRUE(made.ok()) << made;
  const config::v1::Kafka agent = broker_->WithSasl(settings, "agent", "agent-secret");
  const config::v1::Kafka loghandler = broker_->WithSasl(settings, "loghandler", "loghandler-secret");
  // The cache of the broker learns of an ACL a moment later.
  absl::Status stored = StoreOne(agent);
  for (int i = 0; i < 100 && !stored.ok(); ++i) stored = StoreOne(agent);
  EXPECT_TRUE(stored.ok()) << stored;
  EXPECT_TRUE(absl::IsPermissionDenied(StoreOne(loghandler)));
  config::v1::Kafka dead = loghandler;
  dead.set_topic(settings.dead_letter_topic());
  EXPECT_TRUE(StoreOne(dead).ok());
  EXPECT_TRUE(CheckTopic(loghandler, kTimeout).ok());
  Membership membership;
  membership.group = "group";
  bool assigned = false;
  membership.assigned = [&](const std::vector<int>&) {
    assigned = true;
    return std::map<int, std::int64_t>{{0, 0}};
  };
  auto consumer = *Consumer::Join(loghandler, membership);
  while (true) {
    const Polled polled = consumer->Poll(absl::Seconds(1));
    ASSERT_FALSE(std::holds_alternative<absl::Status>(polled)) << std::get<absl::Status>(polled);
    if (std::holds_alternative<Record>(polled)) break;
  }
  EXPECT_TRUE(assigned);
  auto reader = *Consumer::Alone(agent, "group");
  ASSERT_TRUE(reader->Assign({{0, 0}}).ok());
  while (true) {
    const Polled polled = reader->Poll(absl::Seconds(1));
    if (std::holds_alternative<std::monostate>(polled)) continue;
    ASSERT_TRUE(std::holds_alternative<absl::Status>(polled)) << "the agent must not read";
    EXPECT_TRUE(absl::IsPermissionDenied(std::get<absl::Status>(polled))) << std::get<absl::Status>(polled);
    break;
  }
}

}  // namespace
}  // namespace riseml::kafka
