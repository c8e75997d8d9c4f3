#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/config/config.h"
#include "services/supervisor/install/layout.h"
#include "services/supervisor/install/ports.h"
#include "services/supervisor/install/service_configs.h"
#include "services/supervisor/install/services.h"
#include "services/supervisor/install/settings.h"
#include "services/supervisor/install/state.h"
#include "services/supervisor/install/surroundings.h"
#include "services/supervisor/process/log_files.h"
#include "services/supervisor/process/process.h"
#include "services/supervisor/stack/progress.h"
#include "services/supervisor/stack/stack.h"

namespace riseml::supervisor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Parts : public ::testing::Test {
 protected:
  Parts() {
    char pattern[] = "/tmp/riseml-parts-XXXXXX";
    dir_ = mkdtemp(pattern);
  }
  ~Parts() override { std::filesystem::remove_all(dir_); }
  std::string Read(const std::string& name) { return ReadFile(dir_ + "/" + name, 1 << 20).value_or("absent"); }

  std::string dir_;
};

TEST_F(Parts, ProgressSurvivesThePipe) {
  const ProgressEvent event{ProgressKind::kFailed, "services", "api:\tline one\nline \"two\" \\ ö"};
  const std::string line = EncodeProgress(event);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto back = DecodeProgress(absl::string_view(line).substr(0, line.size() - 1));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->kind, event.kind);
  EXPECT_EQ(back->phase, event.phase);
  EXPECT_EQ(back->text, event.text);
  EXPECT_FALSE(DecodeProgress("nonsense").has_value());
  EXPECT_FALSE(DecodeProgress("step\t\\q\t").has_value());
}

TEST_F(Parts, ALogIsRotatedWithoutItsWriterNoticing) {
  const std::string path = dir_ + "/x.log";
  const auto writer = OpenFile(path, O_WRONLY | O_CREAT | O_APPEND);
  ASSERT_TRUE(writer.ok());
  for (const char* text : {"one", "two", "three", "four", "five"}) {
    ASSERT_TRUE(WriteAll(writer->get(), text).ok());
    ASSERT_TRUE(RotateLog(path, 2).ok());
    EXPECT_EQ(Read("x.log"), "");
  }
  EXPECT_EQ(Read("x.log.1"), "five");
  EXPECT_EQ(Read("x.log.2"), "four");
  EXPECT_EQ(Read("x.log.3"), "three");
  EXPECT_EQ(Read("x.log.4"), "absent");
  ASSERT_TRUE(WriteAll(writer->get(), "ab").ok());
  ASSERT_TRUE(RotateLog(path, 2).ok());
  EXPECT_EQ(Read("x.log"), "ab");
}

TEST_F(Parts, TheTailOfALogIsItsLastWholeLines) {
  EXPECT_EQ(LogTail(dir_ + "/none", 3), "");
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/x.log", "1\n2\n3\n4\n").ok());
  EXPECT_EQ(LogTail(dir_ + "/x.log", 3), "2\n3\n4");
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/x.log", std::string(9000, 'x') + "\nlast\n").ok());
  EXPECT_EQ(LogTail(dir_ + "/x.log", 3), "last");
}

TEST_F(Parts, ARecordCannotNameAProcessOfOthers) {
  config::v1::ProcessRecord record;
  ASSERT_TRUE(Identify(getpid(), record).ok());
  const uid_t own = geteuid();
  const std::string argument = ReadFile("/proc/self/cmdline", 4096)->c_str();  // up to the first NUL
  EXPECT_TRUE(OpenRecorded(record, own, "none").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(OpenRecorded(record, own + 1, "none").status()));
  EXPECT_EQ(OpenRecorded(record, own + 1, argument).ok(), own == 0) << "only root's node has other rights";
  record.set_start_ticks(record.start_ticks() + 1);
  EXPECT_TRUE(absl::IsNotFound(OpenRecorded(record, own, "none").status()));
}

TEST_F(Parts, AProcessIsKnownByMoreThanItsPid) {
  config::v1::ProcessRecord record;
  ASSERT_TRUE(Identify(getpid(), record).ok());
  EXPECT_TRUE(IsAlive(IdentityOf(record)));
  ASSERT_TRUE(WriteRecord(dir_ + "/a.pid", dir_ + "/a.process", record).ok());
  EXPECT_EQ(Read("a.pid"), std::to_string(getpid()) + "\n");
  EXPECT_TRUE(IsAlive(IdentityOf(*ReadRecord(dir_ + "/a.process"))));
  record.set_start_ticks(record.start_ticks() + 1);
  EXPECT_FALSE(IsAlive(IdentityOf(record))) << "another process has the pid now";
  record.set_start_ticks(record.start_ticks() - 1);
  record.set_boot_id("of another boot");
  EXPECT_FALSE(IsAlive(IdentityOf(record)));
}

TEST_F(Parts, AProgramThatCannotBeRecordedNeverRuns) {
  SpawnRequest request;
  request.argv = {"/usr/bin/touch", dir_ + "/touched"};
  request.log_file = dir_ + "/log";
  EXPECT_FALSE(Spawn(request, [](pid_t) { return absl::InternalError("disk full"); }).ok());
  EXPECT_FALSE(FileExists(dir_ + "/touched"));
  const auto pid = Spawn(request, [](pid_t) { return absl::OkStatus(); });
  ASSERT_TRUE(pid.ok());
  ASSERT_EQ(waitpid(*pid, nullptr, 0), *pid);
  EXPECT_TRUE(FileExists(dir_ + "/touched"));
}

TEST_F(Parts, AProgramThatCannotBeStartedIsAnError) {
  SpawnRequest request;
  request.argv = {dir_ + "/none"};
  request.log_file = dir_ + "/log";
  const auto pid = Spawn(request, [](pid_t) { return absl::OkStatus(); });
  EXPECT_TRUE(HasReason(pid.status(), Reason::kNotFound)) << pid.status();
}

TEST_F(Parts, PortsAreChosenOnceAndDiffer) {
  const Layout layout{dir_, dir_};
  config::v1::SupervisorState state;
  ASSERT_TRUE(CompleteState(layout, &state).ok());
  std::set<int> ports;
  for (const auto& [name, port] : state.ports()) EXPECT_TRUE(ports.insert(port).second) << name;
  EXPECT_EQ(ports.size(), 10u);
  ASSERT_TRUE(SaveState(layout, state).ok());
  auto again = LoadState(layout);
  ASSERT_TRUE(again.ok());
  ASSERT_TRUE(CompleteState(layout, &*again).ok());
  EXPECT_EQ(again->SerializeAsString().size(), state.SerializeAsString().size());
  EXPECT_EQ(AddressOf(*again, "api.user"), AddressOf(state, "api.user"));
  EXPECT_EQ(again->cluster_id(), state.cluster_id());
}

TEST_F(Parts, ConfigurationsAreReadAsTheyWereMeant) {
  ConfigInput input{{"/root/x", "/run/riseml/1"}, {}, "/usr/share/riseml/python"};
  ASSERT_TRUE(CompleteState({dir_, dir_}, &input.state).ok());
  const auto texts = RenderConfigs(input);
  ASSERT_TRUE(texts.ok());
  EXPECT_EQ(texts->size(), std::size(kServices)) << "without HAProxy services have the ports themselves";
  config::v1::ApiConfig api;
  ASSERT_TRUE(config::ParseConfig(texts->at("api"), &api).ok());
  EXPECT_EQ(api.SerializeAsString(), MakeApiConfig(input).SerializeAsString());
  EXPECT_EQ(api.local_dir(), "/root/x") << "users are told the path they know";
  EXPECT_EQ(api.user_listener().key_file(), "/run/riseml/1/certs/api.key");
  EXPECT_EQ(api.user_listener().client_ca_file(), "");
  EXPECT_EQ(api.internal_listener().client_ca_file(), "/run/riseml/1/certs/ca.crt");
  EXPECT_THAT(api.database(), HasSubstr("host='" + dir_ + "/run' port=5432"));
  config::v1::SchedulerConfig scheduler;
  ASSERT_TRUE(config::ParseConfig(texts->at("scheduler"), &scheduler).ok());
  ASSERT_EQ(scheduler.nodes_size(), 1);
  EXPECT_EQ(scheduler.nodes(0).address(), MakeNodeConfig(input).internal_listener().address());
  EXPECT_EQ(api.user_listener().address(), AddressOf(input.state, "api.user"));
  ASSERT_EQ(api.notes_size(), 1);
  EXPECT_THAT(api.notes(0), HasSubstr("install the package haproxy"));
}

TEST_F(Parts, AUserMayKeepHalfOfTheDiskUnlessToldOtherwise) {
  constexpr std::int64_t kGib = std::int64_t{1} << 30;
  ConfigInput input{{dir_, dir_}, {}, ""};
  EXPECT_EQ(MakeApiConfig(input).user_max_bytes(), -1) << "of a disk of unknown size";
  input.output_bytes = 1000 * kGib + 12345;
  EXPECT_EQ(MakeApiConfig(input).user_max_bytes(), 500 * kGib);
  setenv("RISEML_USER_MAX_BYTES", "1.5T", 1);
  ASSERT_TRUE(TakeSettings(&input.state).ok());
  unsetenv("RISEML_USER_MAX_BYTES");
  ASSERT_TRUE(TakeSettings(&input.state).ok()) << "it is remembered";
  EXPECT_EQ(MakeApiConfig(input).user_max_bytes(), 1536 * kGib);
  setenv("RISEML_USER_MAX_BYTES", "-1", 1);
  ASSERT_TRUE(TakeSettings(&input.state).ok());
  EXPECT_EQ(MakeApiConfig(input).user_max_bytes(), -1);
  for (const char* text : {"0", "-2", "much", "5X"}) {
    setenv("RISEML_USER_MAX_BYTES", text, 1);
    EXPECT_THAT(std::string(TakeSettings(&input.state).message()),
                HasSubstr("RISEML_USER_MAX_BYTES must be a size such as 500G or 2T, or -1 for no limit, not "));
  }
  unsetenv("RISEML_USER_MAX_BYTES");
}

TEST_F(Parts, BehindTheEdgeOnlyMetricsHavePorts) {
  ConfigInput input{{"/root/x", "/run/riseml/1"}, {}, "/usr/share/riseml/python"};
  ASSERT_TRUE(CompleteState({dir_, dir_}, &input.state).ok());
  input.state.set_edge(true);
  const auto texts = RenderConfigs(input);
  ASSERT_TRUE(texts.ok());
  EXPECT_EQ(MakeApiConfig(input).user_listener().address(), "");
  EXPECT_EQ(MakeApiConfig(input).notes_size(), 0);
  const std::string port = AddressOf(input.state, "loghandler.user").substr(std::string("127.0.0.1:").size());
  const std::string& edge = texts->at("edge");
  EXPECT_THAT(edge, HasSubstr("bind \"fd@${RISEML_SOCKET_LOGHANDLER_USER}\""));
  EXPECT_THAT(edge, HasSubstr("use_backend loghandler.user if { dst_port " + port + " }"));
  EXPECT_THAT(edge, HasSubstr("server loghandler unix@" + dir_ + "/run/loghandler.user proto h2"));
  EXPECT_THAT(edge, Not(HasSubstr("@@")));
  const StackPlan plan = MakeStackPlan(input.layout, input.state, Programs(), *texts);
  for (const UnitPlan& unit : plan.units)
    for (const Endpoint& endpoint : unit.endpoints)
      EXPECT_EQ(endpoint.port != 0, unit.takes_sockets || endpoint.role == ListenerRole::kMetrics) << endpoint.listener;
}

TEST_F(Parts, PortsOfAnEarlierVersionThatAreNotNeededAreForgotten) {
  config::v1::SupervisorState state;
  (*state.mutable_ports())["api.internal"] = 4711;
  ASSERT_TRUE(CompleteState({dir_, dir_}, &state).ok());
  EXPECT_EQ(state.ports().count("api.internal"), 0u);
}

TEST_F(Parts, APortThatIsKeptIsNeverOneOfAnOutgoingConnection) {
  const auto picks = [](absl::string_view outgoing, int begin, int end) {
    const PortRange range = PortsToPick(outgoing);
    EXPECT_EQ(range.begin, begin) << outgoing;
    EXPECT_EQ(range.end, end) << outgoing;
  };
  picks("32768\t60999\n", 16384, 30000);
  picks("10000 65535", 5000, 10000);
  picks("1024 65535", 0, 0);  // no room: the system picks
  picks("", 0, 0);
  picks("many", 0, 0);
  const PortRange range = PortsToPick(*ReadFile("/proc/sys/net/ipv4/ip_local_port_range", 4096));
  const absl::StatusOr<PickedPort> picked = PickPort();
  ASSERT_TRUE(picked.ok());
  if (range.begin < range.end) {
    EXPECT_GE(picked->port, range.begin);
    EXPECT_LT(picked->port, range.end);
  }
}

TEST_F(Parts, ADescriptorIsPassedOn) {
  const absl::StatusOr<PickedPort> picked = PickPort();
  ASSERT_TRUE(picked.ok());
  SpawnRequest request;
  request.argv = {"/usr/bin/readlink", absl::StrCat("/proc/self/fd/", picked->held.get())};
  request.log_file = dir_ + "/log";
  request.passed = {picked->held.get()};
  const auto pid = Spawn(request, [](pid_t) { return absl::OkStatus(); });
  ASSERT_TRUE(pid.ok());
  ASSERT_EQ(WaitFor(*pid), 0);
  EXPECT_THAT(Read("log"), HasSubstr("socket:"));
  EXPECT_FALSE(CheckPortFree("x", picked->port).ok());
  EXPECT_TRUE(CopyListeningSocket(getpid(), picked->port).ok());
  EXPECT_TRUE(HasReason(CopyListeningSocket(getppid(), picked->port).status(), Reason::kNotFound));
}

TEST_F(Parts, OnlyAnEmptyDirectoryBecomesAnInstallation) {
  EXPECT_TRUE(PrepareDirectory(dir_ + "/new/one").ok());
  EXPECT_TRUE(PrepareDirectory(dir_ + "/new/one").ok());
  EXPECT_THAT(std::string(PrepareDirectory(dir_).message()),
              HasSubstr("is not empty and holds no RiseML installation"));
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/new/one/FORMAT", "2\n").ok());
  EXPECT_TRUE(HasReason(PrepareDirectory(dir_ + "/new/one"), Reason::kNewerFormat));
  EXPECT_TRUE(HasReason(RequireInstallation(dir_ + "/new/two"), Reason::kNotFound));
}

}  // namespace
}  // namespace riseml::supervisor
