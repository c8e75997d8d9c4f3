// Jobs that attack the node they run on: what they may not reach, forge or outlive.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/launch/network.h"
#include "services/agent/node/node_fixture.h"
#include "services/agent/run/runner_fixture.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using namespace riseml::agent::testing;

using HostileCommandTest = RunnerTest;

// A path of bash that takes the kernel some 20 ms to follow.
std::string SlowBash(const std::string& directory) {
  constexpr int kLinks = 36;  // the kernel follows 40
  fs::create_directories(directory + "/a");
  std::string detour;
  for (int i = 0; i < 790; ++i) detour += "a/../";
  for (int i = 0; i < kLinks; ++i)
    fs::create_symlink(absl::StrCat(detour, "L", i + 1), absl::StrCat(directory, "/L", i));
  fs::create_symlink("/usr/bin", absl::StrCat(directory, "/L", kLinks));
  return directory + "/L0/bash";
}

pid_t ChildOf(pid_t parent) {
  int pid = 0;
  const std::string children = ReadAll(absl::StrCat("/proc/", parent, "/task/", parent, "/children"));
  return absl::SimpleAtoi(children, &pid) ? pid : 0;
}

std::set<std::string> DescriptorsOf(pid_t pid) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(absl::StrCat("/proc/", pid, "/fd"), error), end; !error && it != end;
       it.increment(error))
    names.insert(it->path().filename().string());
  return names;
}

bool IsStillRun(pid_t pid) {
  std::error_code error;
  return pid > 0 && fs::read_symlink(absl::StrCat("/proc/", pid, "/exe"), error).filename() == "riseml-job";
}

// A process of the job could open them by /proc from the moment on at which the new one may be inspected. Each item
// ends its shell, so that there are many shells to look at.
constexpr char kMakeNamespace[] =
    "python3 -c 'import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.unshare(0), ctypes.get_errno())'";

TEST_F(HostileCommandTest, SomeSystemCallsAreRefusedInASandbox) {  // A29
  plan_.set_sandboxed(true);
  Run({kMakeNamespace});
  EXPECT_EQ(Log(), absl::StrCat("-1 ", EPERM, "\n"));
}

TEST_F(HostileCommandTest, NoSystemCallIsRefusedWithoutASandbox) {
  Run({kMakeNamespace});
  EXPECT_EQ(Log(), "0 0\n");
}

TEST_F(HostileCommandTest, AShellHasNoFileOfTheAttemptBeforeItIsExecuted) {  // A3
  plan_.set_shell(SlowBash(directory_ / "maze"));
  Start(std::vector<std::string>(60, "exit 0"));
  const std::set<std::string> standard = {"0", "1", "2"};
  EXPECT_TRUE(Eventually([&] {
    for (int look = 0; look < 2000; ++look) {
      const pid_t child = ChildOf(process_->pid());
      if (IsStillRun(child) && DescriptorsOf(child) == standard && IsStillRun(child)) return true;
    }
    return false;
  }));
  Wait();
}

// Only a sandbox keeps jobs from what these try.
class HostileJobTest : public NodeTest {
 protected:
  StartAttemptRequest OwnedJob(const std::vector<std::string>& commands, const std::string& owner_uid) {
    StartAttemptRequest start = Job(commands);
    start.mutable_template_()->set_owner_uid(owner_uid);
    return start;
  }
};

TEST_P(HostileJobTest, AnEndIsNoneWhileTheJobLives) {  // A3
  const StartAttemptRequest start = Job({kWaitForGo});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  internal::v1::JournalRecord forged;
  forged.mutable_ended()->set_event(Observation::EXITED);
  forged.mutable_ended()->set_exit_code(0);
  const UniqueFd journal = *OpenFile(DirOf(start).journal(), O_RDWR | O_APPEND);
  ASSERT_TRUE(AppendToJournal(journal.get(), forged).ok());
  ASSERT_TRUE(Eventually([&] { return IsIn(start, AttemptStatus::ENDED); }));
  EXPECT_THAT(ProcessesWithVariable("OUTPUT_DIR=" + OutputOf(start)), IsEmpty());
}

TEST_P(HostileJobTest, AJobCannotAskForItsOwnStop) {  // A21
  const StartAttemptRequest start = Job({"kill -TERM 1; kill -INT 1; sleep 0.3; echo on", "exit 3"});
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::EXITED);
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_THAT(LogOf(start).bytes, StartsWith("on\n"));
}

TEST_P(HostileJobTest, TheRootIsReadOnlyAndNamespacesAreTheNodes) {  // A29
  StartAttemptRequest start = Job({
      "mkdir /x 2>/dev/null || echo root is read-only",
      "touch /dev/x 2>/dev/null || echo dev is read-only",
      "unshare -U true 2>/dev/null || echo no namespaces",
      "head -c 2000000 /dev/zero > /dev/shm/x 2>/dev/null || echo shared memory is bounded; rm /dev/shm/x",
      "[ -e /run/riseml/token ] || echo no token",
      "ulimit -c",
      "[ $(ulimit -u) -le 32768 ] && echo bounded processes",
  });
  start.mutable_resources()->set_memory_bytes(1 << 20);
  EXPECT_EQ(RunToEnd(start).exit_code(), 0);
  EXPECT_THAT(LogOf(start).bytes, StartsWith("root is read-only\ndev is read-only\nno namespaces\nshared memory is "
                                             "bounded\nno token\n0\nbounded processes\n"));
}

// Whoever could write to the directory that holds a user's mounts could have other places mounted there.
TEST_P(HostileJobTest, ABuildCannotPutALinkInThePlaceOfAMount) {
  const std::string owner = NewUuid(), user = directory_ / ("environments/" + owner), key(64, 'a');
  const std::string path = absl::StrCat(user, "/work/", key);
  WriteAll(directory_ / "secret", "key");
  StartAttemptRequest build = OwnedJob({}, owner);
  build.set_role("build");
  build.mutable_template_()->clear_output_subpath();
  build.set_environment_path(path);
  build.add_build_steps()->set_command(
      absl::StrCat("cd ", user, "; for name in work work/cache work/steps; do mv $name $name.old || true; ln -s ",
                   directory_.path(), " $name || true; done; touch ", path, "/.riseml-complete"));
  EXPECT_EQ(RunToEnd(build).exit_code(), 0) << LogOf(build).bytes;
  EXPECT_FALSE(fs::is_symlink(user + "/work"));
  EXPECT_TRUE(fs::is_symlink(user + "/work/cache")) << "possible, and good for nothing";
  StartAttemptRequest train = OwnedJob({absl::StrCat("cat ", user, "/*/secret ", user, "/work/*/secret 2>&1 || true"),
                                        absl::StrCat("touch ", path, "/x 2>/dev/null || echo sealed")},
                                       owner);
  train.set_environment_path(path);
  EXPECT_EQ(RunToEnd(train).exit_code(), 0);
  EXPECT_THAT(LogOf(train).bytes, Not(HasSubstr("key\n")));
  EXPECT_THAT(LogOf(train).bytes, HasSubstr("sealed\n"));
  EXPECT_FALSE(fs::is_symlink(user + "/work/cache"));
}

TEST_P(HostileJobTest, ALinkInThePlaceOfAMountIsRefused) {
  const std::string owner = NewUuid(), user = directory_ / ("environments/" + owner);
  fs::create_directories(user);
  fs::create_symlink(directory_.path(), user + "/work");
  const AttemptStatus status = RunToEnd(OwnedJob({"true"}, owner));
  EXPECT_EQ(status.end(), Observation::START_FAILED);
  EXPECT_THAT(status.message(), HasSubstr("work is not a directory"));
}

// A listening port of the machine.
struct Listener {
  UniqueFd fd = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int port = 0;
  explicit Listener(in_addr_t host) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(host);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd.get(), 8), 0);
    EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
  }
};

// Returns the text that a server on a loopback port sends; empty: there is no server.
std::string AskPort(int port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
  char buffer[64];
  const ssize_t size = read(fd.get(), buffer, sizeof buffer);
  return std::string(buffer, size > 0 ? static_cast<std::size_t>(size) : 0);
}

class JobNetworkTest : public HostileJobTest {
 protected:
  void SetUp() override {
    if (const auto choice = ChooseNetwork(kNetworkOwn, true, {}); !choice.ok())
      GTEST_SKIP() << "no networks of jobs on this machine: " << choice.status();
    network_ = kNetworkOwn;
    HostileJobTest::SetUp();
  }
};

constexpr char kConnect[] = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)";
constexpr char kServe[] =
    "import os, socket; s = socket.create_server(('', int(os.environ['PORT']))); "
    "c = s.accept()[0]; c.send(b'served'); c.close()";

TEST_P(JobNetworkTest, AJobReachesNoPortOfTheMachineAndCannotTakeOne) {  // A15, A19
  const Listener listener(INADDR_LOOPBACK);
  const std::string port = absl::StrCat(listener.port);
  std::vector<std::string> commands;
  for (const char* host : {"127.0.0.1", "10.0.2.2", "localhost"})
    commands.push_back(absl::StrCat("python -c \"", kConnect, "\" ", host, " ", port, " 2>/dev/null || echo refused"));
  commands.push_back(absl::StrCat("python -c \"import socket; socket.create_server(('127.0.0.1', ", port,
                                  "))\" && echo another loopback"));
  commands.push_back("cat /etc/resolv.conf; grep -c tap0 /proc/net/route");
  const StartAttemptRequest start = Job(commands);
  EXPECT_EQ(RunToEnd(start).exit_code(), 0) << LogOf(start).bytes;
  EXPECT_THAT(LogOf(start).bytes, StartsWith("refused\nrefused\nrefused\nanother loopback\nnameserver 10.0.2.3\n"));
}

TEST_P(JobNetworkTest, ThePortOfAJobIsOpenToTheMachine) {
  const StartAttemptRequest start = Job({absl::StrCat("echo $PORT > $OUTPUT_DIR/port; python -c \"", kServe, "\"")});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] {
    int port = 0;
    return absl::SimpleAtoi(ReadAll(OutputOf(start) + "/port"), &port) && AskPort(port) == "served";
  })) << ReadAll(DirOf(start).path() + "/network.log");
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
}

TEST_P(JobNetworkTest, WhatLeadsOutEndsWithTheJobAlsoWhenTheNodeIsGone) {
  const StartAttemptRequest start = Job({kWaitForGo});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  const auto slirps = [&] {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::error_code error;
      const std::string directory = fs::read_symlink(entry.path() / "cwd", error).string();
      count += directory == DirOf(start).path() ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(slirps(), 1);
  KillNode();
  EXPECT_EQ(slirps(), 1);
  WriteAll(OutputOf(start) + "/go", "");
  EXPECT_TRUE(Eventually([&] { return slirps() == 0; }));
  StartNode();
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
}

TEST(JobNetwork, SettingsThatNameThisMachineAreSeen) {
  for (const char* setting :
       {"http://127.0.0.1:3128", "[global]\nindex-url = https://u:p@localhost/simple", "http://[::1]/"})
    EXPECT_TRUE(NamesLoopback(setting)) << setting;
  for (const char* setting : {"https://pypi.example.org/simple", "127.0.0.1", "http://host/127.0.0.1", ""})
    EXPECT_FALSE(NamesLoopback(setting)) << setting;
  EXPECT_EQ(ResolvConfOf("search a.b\nnameserver 127.0.0.53\noptions edns0\n"),
            "nameserver 10.0.2.3\nsearch a.b\noptions edns0\n");
}

INSTANTIATE_TEST_SUITE_P(Isolation, JobNetworkTest, ::testing::Values(kIsolationBubblewrap),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Isolation, HostileJobTest, ::testing::Values(kIsolationBubblewrap),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace riseml::agent
