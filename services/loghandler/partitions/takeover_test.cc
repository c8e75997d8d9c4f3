// Two processes of riseml-loghandler that are killed in turn while logs come over a real Kafka broker and are followed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "services/common/base/threads/pause.h"
#include "services/common/kafka/admin.h"
#include "services/common/kafka/producer.h"
#include "services/common/kafka/settings.h"
#include "services/common/rpc/certificates.h"
#include "services/common/testing/kafka_broker.h"
#include "services/loghandler/testing/fake_api.h"
#include "services/loghandler/testing/source_rig.h"
#include "services/loghandler/testing/test_client.h"

extern char** environ;

namespace riseml::loghandler {
namespace {

constexpr char kSharedRoot[] = "users/paul/experiments/14";
constexpr char kReaderKey[] = "paul-key";
constexpr int kStreams = 8;
constexpr int kRounds = 4;

int FreePort() {
  const UniqueFd one(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(bind(one.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(getsockname(one.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  return ntohs(address.sin_port);
}

class TakeoverTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(rpc::WriteCertificates(dir_.path(), {"api", "loghandler"}, clock_.Now()).ok());
    api_ = std::make_unique<FakeApi>(dir_.path());
    api_->AddUser(kReaderKey);
    api_->AddRoot(kSharedRoot, kReaderKey);
    settings_ = broker_.NewTopic(8);
    ASSERT_TRUE(kafka::CreateTopics(settings_, absl::Seconds(20)).ok());
    producer_ = *kafka::Producer::Make(settings_, settings_.topic(), {});
    for (int i = 0; i < 2; ++i) ports_[i] = FreePort();
  }
  void TearDown() override {
    for (int i = 0; i < 2; ++i) Kill(i);
    api_.reset();
  }

  std::string AddressOf(int i) const { return absl::StrCat("127.0.0.1:", ports_[i]); }
  void Start(int i) {
    const std::string& d = dir_.path();
    const std::string config = absl::StrCat(d, "/loghandler", i, ".yml");
    std::ofstream(config) << "user_listener: {address: \"" << AddressOf(i) << "\", certificate_file: " << d
                          << "/loghandler.crt, key_file: " << d << "/loghandler.key}\nclient_tls: {ca_file: " << d
                          << "/ca.crt, certificate_file: " << d << "/loghandler.crt, key_file: " << d
                          << "/loghandler.key}\napi_address: \"" << api_->address() << "\"\ndata_dir: " << d
                          << "/data\nkafka: {brokers: \"" << settings_.brokers() << "\", topic: " << settings_.topic()
                          << ", partitions: 8}\ninstance: logs-" << i << "\npublic_address: \"" << AddressOf(i)
                          << "\"\n";
    std::string program = RISEML_LOGHANDLER, flag = "--config", path = config;
    char* argv[] = {program.data(), flag.data(), path.data(), nullptr};
    ASSERT_EQ(posix_spawn(&pids_[i], program.c_str(), nullptr, nullptr, argv, environ), 0);
  }
  void Kill(int i) {
    if (pids_[i] <= 0) return;
    kill(pids_[i], SIGKILL);
    waitpid(pids_[i], nullptr, 0);
    pids_[i] = -1;
  }
  std::unique_ptr<v1::LogService::Stub> StubOf(const std::string& address) {
    return v1::LogService::NewStub(rpc::UserChannel(address, *ReadFile(dir_.path() + "/ca.crt", 1 << 20)));
  }
  void Put(const internal::v1::LogRecord& record) {
    const int partition = kafka::PartitionOf(record.job_uid(), settings_.partitions());
    while (!producer_->Produce(partition, record.job_uid(), record.SerializeAsString(), 0).ok())
      Pause({}, absl::Milliseconds(1));
  }

  // Follows one stream until its end, at whichever log handler has it, with the offset reached.
  std::string FollowToTheEnd(const StreamId& id) {
    std::string bytes;
    std::string address = AddressOf(0);
    for (int other = 1;; other = 1 - other) {
      const auto stub = StubOf(address);
      v1::FollowRequest request = FollowFor(absl::StrCat(kSharedRoot, "/jobs/", names_.at(id)));
      v1::StreamCursor* cursor = request.add_cursors();
      cursor->set_job_uid(id.job_uid);
      cursor->set_attempt(id.attempt);
      cursor->set_offset(static_cast<std::int64_t>(bytes.size()));
      TestReader reader(*stub, kReaderKey, request);
      reader.NextUntil([&] { return reader[id].end.has_value() || reader[id].owner.has_value(); });
      bytes += reader[id].bytes;
      if (reader[id].end.has_value()) {
        EXPECT_TRUE(reader[id].end->complete());
        reader.Cancel();
        return bytes;
      }
      // An owner that has died is named until another one has taken its place.
      address = reader[id].owner.has_value() ? reader[id].owner->address() : AddressOf(other);
      reader.Cancel();
      Pause({}, absl::Milliseconds(100));
    }
  }

  TempDir dir_;
  const SystemClock clock_{};
  fixtures::KafkaBroker broker_;
  config::v1::Kafka settings_;
  std::unique_ptr<FakeApi> api_;
  std::unique_ptr<kafka::Producer> producer_;
  std::map<StreamId, std::string> names_;
  int ports_[2] = {};
  pid_t pids_[2] = {-1, -1};
};

TEST_F(TakeoverTest, LogHandlersAreKilledInTurnAndFollowedLogsHaveNoGapAndNoRepeat) {
  Start(0);
  Start(1);
  for (int i = 0; i < kStreams; ++i) {
    const std::string name = absl::StrCat("train", i);
    names_[api_->AddStream(kSharedRoot, name)] = name;
  }
  std::atomic<bool> stop{false};
  std::map<StreamId, std::string> printed, followed;
  for (const auto& [id, name] : names_) followed[id];
  std::vector<std::jthread> readers;
  for (auto& [id, bytes] : followed)
    readers.emplace_back([this, &id = id, &bytes = bytes] { bytes = FollowToTheEnd(id); });
  std::jthread printer([&] {
    for (int line = 0; !stop; ++line) {
      for (const auto& [id, name] : names_) {
        const std::string text = absl::StrCat(name, " line ", line, " of the log\n");
        internal::v1::LogRecord record = EmptyRecord(id);
        *record.mutable_block() = PlainBlock(static_cast<std::int64_t>(printed[id].size()), text);
        Put(record);
        printed[id] += text;
      }
      Pause({}, absl::Milliseconds(2));
    }
    for (const auto& [id, name] : names_) {
      internal::v1::LogRecord record = EmptyRecord(id);
      record.mutable_end()->set_final_offset(static_cast<std::int64_t>(printed[id].size()));
      Put(record);
    }
  });
  Pause({}, absl::Seconds(4));
  for (int round = 0; round < kRounds; ++round) {
    Kill(round % 2);
    Pause({}, absl::Seconds(round == 0 ? 9 : 2));  // longer than a session: the other one takes over
    Start(round % 2);
    Pause({}, absl::Seconds(3));
  }
  stop = true;
  printer.join();
  const absl::Time end = clock_.Now();
  readers.clear();
  EXPECT_LT(clock_.Now() - end, absl::Seconds(20));
  for (const auto& [id, bytes] : printed) {
    EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), static_cast<std::int64_t>(bytes.size()));
    EXPECT_TRUE(followed[id] == bytes) << followed[id].size() << " bytes of " << bytes.size();
  }
}

}  // namespace
}  // namespace riseml::loghandler
