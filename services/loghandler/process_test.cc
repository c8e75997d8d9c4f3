// riseml-loghandler as a process: killed, short of disk, with many and with slow readers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/base/status.h"
#include "services/common/rpc/certificates.h"
#include "services/loghandler/testing/fake_api.h"
#include "services/loghandler/testing/test_client.h"

extern char** environ;

namespace riseml::loghandler {
namespace {

constexpr char kRoot[] = "users/paul/experiments/14";
constexpr char kKey[] = "paul-key";

class ProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(rpc::WriteCertificates(dir_.path(), {"api", "loghandler"}, SystemClock().Now()).ok());
    api_ = std::make_unique<FakeApi>(dir_.path());
    api_->AddUser(kKey);
    api_->AddRoot(kRoot, kKey);
    data_dir_ = dir_.path() + "/data";
    Start();
  }
  void TearDown() override {
    Kill();
    api_.reset();
  }

  // Starts the process; returns once it listens.
  void Start() {
    const std::string config = dir_.path() + "/loghandler.yml";
    const std::string& d = dir_.path();
    std::ofstream(config) << "user_listener: {address: \"127.0.0.1:0\", certificate_file: " << d
                          << "/loghandler.crt, key_file: " << d << "/loghandler.key}\nclient_tls: {ca_file: " << d
                          << "/ca.crt, certificate_file: " << d << "/loghandler.crt, key_file: " << d
                          << "/loghandler.key}\napi_address: \"" << api_->address() << "\"\ndata_dir: " << data_dir_
                          << "\n";
    int out[2];
    ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDERR_FILENO);
    std::string program = RISEML_LOGHANDLER;
    std::string flag = "--config";
    std::string path = config;
    char* argv[] = {program.data(), flag.data(), path.data(), nullptr};
    ASSERT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    FILE* lines = fdopen(out[0], "r");
    char line[1024];
    int port = 0;
    while (port == 0 && fgets(line, sizeof line, lines) != nullptr) {
      const absl::string_view text = absl::StripTrailingAsciiWhitespace(line);
      if (!absl::StrContains(text, "event=started")) continue;
      ASSERT_TRUE(absl::SimpleAtoi(text.substr(text.rfind('=') + 1), &port)) << text;
    }
    ASSERT_NE(port, 0) << "the process ended before it listened: " << line;
    // Somebody has to read what it says later.
    drain_ = std::jthread([lines] {
      char rest[1024];
      while (fgets(rest, sizeof rest, lines) != nullptr) std::fputs(rest, stderr);
      fclose(lines);
    });
    address_ = absl::StrCat("127.0.0.1:", port);
    stub_ = NewStub();
  }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
    drain_.join();
  }
  std::unique_ptr<v1::LogService::Stub> NewStub() {
    return v1::LogService::NewStub(rpc::UserChannel(address_, *ReadFile(dir_.path() + "/ca.crt", 1 << 20)));
  }
  // A number of /proc/<pid>/status, e.g. "Threads" or "VmRSS" (kB).
  std::int64_t Proc(const std::string& name) {
    std::ifstream file(absl::StrCat("/proc/", pid_, "/status"));
    for (std::string line; std::getline(file, line);) {
      const std::vector<std::string> parts = absl::StrSplit(line, absl::ByAnyChar(":\t "), absl::SkipEmpty());
      std::int64_t value = 0;
      if (parts.size() >= 2 && parts[0] == name && absl::SimpleAtoi(parts[1], &value)) return value;
    }
    ADD_FAILURE() << "no " << name;
    return -1;
  }

  TempDir dir_;
  std::string data_dir_;
  std::mt19937 random_{99};
  std::unique_ptr<FakeApi> api_;
  pid_t pid_ = -1;
  std::jthread drain_;
  std::string address_;
  std::unique_ptr<v1::LogService::Stub> stub_;
};

TEST_F(ProcessTest, KilledAgainAndAgainNothingIsLostOrDoubled) {
  const StreamId id = api_->AddStream(kRoot, "train");
  const std::string log = RandomLog(random_, 6'000'000);
  std::int64_t acknowledged = 0;
  for (int round = 0; round < 6; ++round) {
    TestShipper shipper(*stub_, FakeApi::TokenOf(id));
    const auto begin = shipper.Answer();
    ASSERT_TRUE(begin.has_value());
    ASSERT_GE(begin->expected_offset(), acknowledged) << "acknowledged bytes are lost";
    const std::int64_t kill_at = acknowledged + 100'000 + static_cast<std::int64_t>(random_() % 500'000);
    const std::int64_t send_until = kill_at + 300'000;  // so that something is under way when it is killed
    std::atomic<bool> gone{false};
    std::jthread sender([&, at = begin->expected_offset()]() mutable {
      std::mt19937 mine(round);
      while (!gone && at < send_until) {
        const std::int64_t first = std::max<std::int64_t>(0, at - static_cast<std::int64_t>(mine() % 3000));
        const auto length = std::min<std::int64_t>(1 + mine() % 40'000, log.size() - first);
        if (!shipper.Send(ZstdBlock(first, absl::string_view(log).substr(first, length)))) return;
        at = std::max(at, first + length);
      }
    });
    while (acknowledged < kill_at) {
      const auto answer = shipper.Answer();
      if (!answer) break;
      acknowledged = answer->expected_offset();
    }
    Kill();
    gone = true;
    sender.join();
    EXPECT_FALSE(shipper.Finish().ok());
    Start();
  }
  ASSERT_TRUE(ShipLog(*stub_, id, FakeApi::TokenOf(id), log, random_));
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), static_cast<std::int64_t>(log.size()));
  api_->EndRoot(kRoot);
  TestReader reader(*stub_, kKey, FollowFor(kRoot));
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_TRUE(reader[id].bytes == log);
}

TEST_F(ProcessTest, NinetyReadersNeedNoThreadsOfTheirOwn) {
  const StreamId id = api_->AddStream(kRoot, "train");
  TestShipper shipper(*stub_, FakeApi::TokenOf(id));
  std::vector<std::unique_ptr<v1::LogService::Stub>> stubs;
  std::vector<std::unique_ptr<TestReader>> readers;
  const auto add = [&](int n) {
    for (int i = 0; i < n; ++i) {
      if (readers.size() % 50 == 0) stubs.push_back(NewStub());
      readers.push_back(std::make_unique<TestReader>(*stubs.back(), kKey, FollowFor(kRoot)));
    }
  };
  std::int64_t sent = 0;
  const auto everybody_reads = [&] {
    ASSERT_TRUE(shipper.Send(PlainBlock(sent, "a line\n")));
    sent += 7;
    for (const auto& reader : readers) {
      ASSERT_TRUE(reader->NextUntil([&] { return static_cast<std::int64_t>((*reader)[id].bytes.size()) == sent; }));
    }
  };
  add(20);
  everybody_reads();
  const std::int64_t few = Proc("Threads");
  // A few at a time: calls that begin at once are authenticated on as many threads.
  for (int i = 0; i < 14; ++i) {
    add(5);
    everybody_reads();
  }
  EXPECT_LE(Proc("Threads"), few + 10);
  for (const auto& reader : readers) reader->Cancel();
}

TEST_F(ProcessTest, ReadersThatDoNotReadCostLittleAndHoldUpNobody) {
  constexpr int kSlow = 30;
  const StreamId id = api_->AddStream(kRoot, "train");
  const std::string log = RandomLog(random_, 20'000'000);
  ASSERT_TRUE(ShipLog(*stub_, id, FakeApi::TokenOf(id), log, random_));
  const std::int64_t before = Proc("VmRSS");
  std::vector<std::unique_ptr<v1::LogService::Stub>> stubs;
  std::vector<std::unique_ptr<TestReader>> slow;
  for (int i = 0; i < kSlow; ++i) {
    stubs.push_back(NewStub());  // a connection each: they must not share a window
    slow.push_back(std::make_unique<TestReader>(*stubs.back(), kKey, FollowFor(kRoot)));
    ASSERT_TRUE(slow.back()->NextUntil([&] { return !(*slow.back())[id].bytes.empty(); }));
  }
  api_->EndRoot(kRoot);
  TestReader fast(*stub_, kKey, FollowFor(kRoot));
  EXPECT_TRUE(fast.Finish().ok());
  EXPECT_TRUE(fast[id].bytes == log);
  EXPECT_LT(Proc("VmRSS") - before, kSlow * 8000) << "kB; all of it would be " << kSlow * 20'000;
  // A slow reader still gets everything.
  EXPECT_TRUE(slow[0]->Finish().ok());
  EXPECT_TRUE((*slow[0])[id].bytes == log);
  for (const auto& reader : slow) reader->Cancel();
}

// A disk of 1 MiB: a file system of its own where the test may mount one, else a limit on the size of files.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& path) : path_(path) {
    std::filesystem::create_directories(path);
    mounted_ = mount("tmpfs", path.c_str(), "tmpfs", 0, "size=1m") == 0;
    if (mounted_) std::ofstream(path + "/filler") << std::string(900'000, 'x');
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  void Shrink(pid_t pid) {
    const rlimit limit{60'000, RLIM_INFINITY};
    if (!mounted_) prlimit(pid, RLIMIT_FSIZE, &limit, nullptr);
  }
  void Grow(pid_t pid) {
    const rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
    if (mounted_) {
      std::filesystem::remove(path_ + "/filler");
    } else {
      prlimit(pid, RLIMIT_FSIZE, &limit, nullptr);
    }
  }

 private:
  const std::string path_;
  bool mounted_ = false;
};

TEST_F(ProcessTest, AFullDiskIsSaidSoAndShippingGoesOnWhenSpaceReturns) {
  Kill();
  SmallDisk disk(data_dir_);
  Start();
  disk.Shrink(pid_);
  const StreamId id = api_->AddStream(kRoot, "train");
  const std::string log = RandomLog(random_, 400'000);
  const auto ship = [&] {
    TestShipper shipper(*stub_, FakeApi::TokenOf(id));
    const auto begin = shipper.Answer();
    for (std::size_t at = begin ? begin->expected_offset() : log.size(); at < log.size(); at += 20'000) {
      if (!shipper.Send(PlainBlock(at, log.substr(at, 20'000)))) break;
    }
    shipper.SendEnd(log.size());
    return shipper.Finish();
  };
  for (int i = 0; i < 3; ++i) {
    const absl::Status full = ship();
    EXPECT_TRUE(HasReason(full, Reason::kDiskFull)) << full;
  }
  disk.Grow(pid_);
  EXPECT_TRUE(ship().ok());
  api_->EndRoot(kRoot);
  TestReader reader(*stub_, kKey, FollowFor(kRoot));
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_TRUE(reader[id].bytes == log);
  Kill();
}

}  // namespace
}  // namespace riseml::loghandler
