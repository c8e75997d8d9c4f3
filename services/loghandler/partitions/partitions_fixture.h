// Log handlers that read a topic, and a producer that writes it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "services/common/kafka/producer.h"
#include "services/common/kafka/settings.h"
#include "services/loghandler/testing/loghandler_fixture.h"
#include "services/loghandler/testing/source_rig.h"
#include "services/loghandler/testing/test_options.h"

namespace riseml::loghandler {

inline constexpr absl::Duration kTimeout = absl::Seconds(20);

struct Handler {
  prometheus::Registry metrics;
  std::unique_ptr<LogHandler> handler;
  std::unique_ptr<v1::LogService::Stub> stub;
};

class PartitionsTest : public testing::Test {
 protected:
  // The topic of `settings` exists before NewProducer and Start are called.
  explicit PartitionsTest(config::v1::Kafka settings) : settings_(std::move(settings)) {
    EXPECT_TRUE(rpc::WriteCertificates(dir_.path(), {"api", "loghandler"}, clock_.Now()).ok());
    api_ = std::make_unique<FakeApi>(dir_.path());
    api_->AddUser(kKey);
    api_->AddRoot(kRoot, kKey);
  }
  ~PartitionsTest() override {
    handlers_.clear();
    api_.reset();
  }

  void NewProducer() {
    producer_.reset();
    auto producer = kafka::Producer::Make(settings_, settings_.topic(), {});
    ASSERT_TRUE(producer.ok()) << producer.status();
    producer_ = *std::move(producer);
  }
  // `instance` is empty for the only log handler.
  Handler& Start(const std::string& instance = "") {
    Handler& one = handlers_[instance];
    one.handler.reset();
    LogHandlerOptions options;
    options.store.dir = dir_.path() + "/data";
    options.follow.tick = absl::Milliseconds(10);
    options.registry.sweep = absl::Milliseconds(20);
    SetConnections(options, dir_.path(), api_->address());
    options.partitions.emplace();
    options.partitions->kafka = settings_;
    options.partitions->group = settings_.topic();
    options.partitions->claim.set_instance(instance);
    options.partitions->reader.patience = absl::Seconds(1);
    options.partitions->look_at_owners = absl::Milliseconds(100);
    auto handler = LogHandler::Start(options, clock_, one.metrics);
    EXPECT_TRUE(handler.ok()) << handler.status();
    one.handler = *std::move(handler);
    one.stub = StubOf(absl::StrCat("127.0.0.1:", one.handler->port()));
    return one;
  }
  std::unique_ptr<v1::LogService::Stub> StubOf(const std::string& address) {
    return v1::LogService::NewStub(rpc::UserChannel(address, *ReadFile(dir_.path() + "/ca.crt", 1 << 20)));
  }
  void Put(const internal::v1::LogRecord& record) {
    const int partition = kafka::PartitionOf(record.job_uid(), settings_.partitions());
    while (!producer_->Produce(partition, record.job_uid(), record.SerializeAsString(), 0).ok())
      std::this_thread::yield();
  }
  void Put(const StreamId& id, const v1::LogBlock& block) {
    internal::v1::LogRecord record = EmptyRecord(id);
    *record.mutable_block() = block;
    Put(record);
  }
  void PutEnd(const StreamId& id, std::int64_t final_offset) {
    internal::v1::LogRecord record = EmptyRecord(id);
    record.mutable_end()->set_final_offset(final_offset);
    Put(record);
  }
  TestReader Follow(v1::LogService::Stub& stub, const StreamId& id = {}, std::int64_t cursor = -1) {
    v1::FollowRequest request = FollowFor(kRoot);
    if (cursor >= 0) {
      v1::StreamCursor* at = request.add_cursors();
      at->set_job_uid(id.job_uid);
      at->set_attempt(id.attempt);
      at->set_offset(cursor);
    }
    return TestReader(stub, kKey, request);
  }
  static double Sum(Handler& handler, const std::string& name) {
    double sum = 0;
    for (const auto& family : handler.metrics.Collect()) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) sum += metric.counter.value + metric.gauge.value;
    }
    return sum;
  }
  template <class Predicate>
  static void Await(Predicate predicate) {
    while (!predicate()) std::this_thread::yield();
  }

  TempDir dir_;
  const SystemClock clock_;
  std::unique_ptr<FakeApi> api_;
  config::v1::Kafka settings_;
  std::unique_ptr<kafka::Producer> producer_;
  std::map<std::string, Handler> handlers_;
};

}  // namespace riseml::loghandler
