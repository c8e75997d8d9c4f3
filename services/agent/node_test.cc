// `riseml-agent node` as a process, over TLS, with jobs that are processes; once without a sandbox and once with one.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "riseml/internal/v1/node_agent.grpc.pb.h"
#include "services/agent/launcher.h"
#include "services/agent/process.h"
#include "services/agent/testing.h"
#include "services/common/base/file.h"
#include "services/common/base/id.h"
#include "services/common/rpc/channel.h"

namespace riseml::agent {
namespace {

using internal::v1::AttemptStatus;
using internal::v1::Observation;
using internal::v1::StartAttemptRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using namespace riseml::agent::testing;

constexpr char kCommit[] = "0123456789012345678901234567890123456789";

class NodeTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == kIsolationBubblewrap)
      if (const auto works = ChooseIsolation(kIsolationBubblewrap, {}, ""); !works.ok())
        GTEST_SKIP() << "no sandbox on this machine: " << works.status();
    suite_.code.Put(kCommit, MakeTar({{"hello.txt", "hello from the code\n"},
                                      {"bin/tool", "#!/bin/sh\necho tool\n", '0', "", 0755}}));
    StartNode();
  }

  void TearDown() override {
    node_.reset();
    // Everything an attempt of this test has started names its directory in its command line or a variable.
    for (const pid_t pid : ProcessesNaming(directory_.path())) kill(pid, SIGKILL);
    EXPECT_TRUE(Eventually([&] { return ProcessesNaming(directory_.path()).empty(); }));
  }

  static std::vector<pid_t> ProcessesNaming(const std::string& text) {
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      int pid = 0;
      if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
      if (pid == getpid()) continue;
      if (absl::StrContains(ReadAll(entry.path() / "cmdline") + ReadAll(entry.path() / "environ"), text))
        found.push_back(pid);
    }
    return found;
  }

  void StartNode() {
    ++starts_;
    const std::string config = directory_ / "agent.yml";
    WriteAll(
        config,
        absl::StrCat(
            "name: here\ninternal_listener:\n  address: 127.0.0.1:0\n  certificate_file: ", suite_.certificates(),
            "/agent.crt\n  key_file: ", suite_.certificates(), "/agent.key\n  client_ca_file: ", suite_.certificates(),
            "/ca.crt\nclient_tls:\n  ca_file: ", suite_.certificates(),
            "/ca.crt\n  certificate_file: ", suite_.certificates(), "/agent.crt\n  key_file: ", suite_.certificates(),
            "/agent.key\ngitsync_address: ", suite_.internal_address(), "\napi_user_address: ", suite_.user_address(),
            "\nloghandler_user_address: ", suite_.user_address(), "\nca_file: ", suite_.certificates(),
            "/ca.crt\ndata_dir: ", directory_ / "node", "\nvolume_data_dir: ", directory_ / "data",
            "\nvolume_output_dir: ", directory_ / "output", "\nenvironments_dir: ", directory_ / "environments",
            "\npython_client_dir: ", RISEML_PYTHON_CLIENT, "\nisolation: ", GetParam(), "\n"));
    const std::string output = directory_ / absl::StrCat("node-", starts_, ".log");
    node_ = std::make_unique<ChildProcess>(
        std::vector<std::string>{RISEML_AGENT, "node", "--config", config},
        std::vector<std::string>{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "SECRET_OF_NODE=1"}, output);
    std::string port;
    ASSERT_TRUE(Eventually([&] {
      const std::string text = ReadAll(output);
      const std::size_t ready = text.find("event=node_ready");
      if (ready == std::string::npos) return false;
      const std::size_t at = text.find("port=", ready);
      port = text.substr(at + 5, text.find_first_of(" \n", at) - at - 5);
      return true;
    })) << ReadAll(output);
    config::v1::ClientTls tls;
    tls.set_ca_file(suite_.certificates() + "/ca.crt");
    tls.set_certificate_file(suite_.certificates() + "/scheduler.crt");
    tls.set_key_file(suite_.certificates() + "/scheduler.key");
    stub_ = internal::v1::NodeAgentService::NewStub(*rpc::ServiceChannel("127.0.0.1:" + port, tls));
  }

  void KillNode() {
    node_->Signal(SIGKILL);
    node_->Wait();
    node_.reset();
  }

  StartAttemptRequest Job(const std::vector<std::string>& commands) {
    StartAttemptRequest start;
    start.set_job_uid(NewUuid());
    start.set_attempt(1);
    start.set_job("users/paul/experiments/1/jobs/train");
    start.set_role("train");
    start.set_token("token-of-" + start.job_uid());
    start.set_grace_seconds(60);
    auto& job = *start.mutable_template_();
    job.set_owner("paul");
    job.set_project_uid(NewUuid());
    job.set_commit(kCommit);
    job.set_output_subpath("paul/project/" + start.job_uid());
    job.set_config_copy("project: project\n");
    for (const std::string& command : commands) job.add_commands(command);
    return start;
  }

  std::string OutputOf(const StartAttemptRequest& start) const {
    return directory_ / "output/" + start.template_().output_subpath();
  }
  AttemptDir DirOf(const StartAttemptRequest& start) const {
    return AttemptDir(directory_ / "node/attempts/" + Print(AttemptId{start.job_uid(), start.attempt()}));
  }

  grpc::Status Start(const StartAttemptRequest& start) {
    grpc::ClientContext context;
    rpc::Prepare(context, absl::Seconds(60), NewUuid());
    internal::v1::StartAttemptResponse response;
    return stub_->StartAttempt(&context, start, &response);
  }
  grpc::Status Stop(const StartAttemptRequest& start) {
    grpc::ClientContext context;
    rpc::Prepare(context, absl::Seconds(60), NewUuid());
    internal::v1::StopAttemptRequest request;
    request.set_job_uid(start.job_uid());
    request.set_attempt(start.attempt());
    internal::v1::StopAttemptResponse response;
    return stub_->StopAttempt(&context, request, &response);
  }
  grpc::Status Forget(const StartAttemptRequest& start) {
    grpc::ClientContext context;
    rpc::Prepare(context, absl::Seconds(60), NewUuid());
    internal::v1::ForgetAttemptsRequest request;
    auto& ref = *request.add_attempts();
    ref.set_job_uid(start.job_uid());
    ref.set_attempt(start.attempt());
    internal::v1::ForgetAttemptsResponse response;
    return stub_->ForgetAttempts(&context, request, &response);
  }
  std::vector<AttemptStatus> List() {
    grpc::ClientContext context;
    rpc::Prepare(context, absl::Seconds(60), NewUuid());
    internal::v1::ListAttemptsResponse response;
    EXPECT_TRUE(stub_->ListAttempts(&context, {}, &response).ok());
    return {response.attempts().begin(), response.attempts().end()};
  }
  std::optional<AttemptStatus> StatusOf(const StartAttemptRequest& start) {
    for (const AttemptStatus& status : List())
      if (status.job_uid() == start.job_uid() && status.attempt() == start.attempt()) return status;
    return std::nullopt;
  }
  bool IsIn(const StartAttemptRequest& start, AttemptStatus::Phase phase) {
    const std::optional<AttemptStatus> status = StatusOf(start);
    return status && status->phase() == phase;
  }
  // The status at the end; the log and results are delivered too.
  AttemptStatus RunToEnd(const StartAttemptRequest& start) {
    EXPECT_TRUE(Start(start).ok());
    return WaitForEnd(start);
  }
  AttemptStatus WaitForEnd(const StartAttemptRequest& start) {
    EXPECT_TRUE(Eventually([&] { return IsIn(start, AttemptStatus::ENDED); })) << ReadAll(DirOf(start).run_log());
    EXPECT_TRUE(Eventually([&] { return LogOf(start).final_offset >= 0; })) << ReadAll(DirOf(start).ship_log());
    return StatusOf(start).value_or(AttemptStatus());
  }
  FakeStream LogOf(const StartAttemptRequest& start) { return suite_.logs.Of(start.token()); }

  FakeSuite suite_;
  TemporaryDirectory directory_;
  int starts_ = 0;
  std::unique_ptr<ChildProcess> node_;
  std::unique_ptr<internal::v1::NodeAgentService::Stub> stub_;
};

// Waits until the test makes `go` in the job's output; says that it does by making `here`.
constexpr char kWaitForGo[] = "touch $OUTPUT_DIR/here; while [ ! -e $OUTPUT_DIR/go ]; do sleep 0.02; done";

TEST_P(NodeTest, RunsAJobFromItsCodeToItsResults) {
  StartAttemptRequest start =
      Job({"cat hello.txt; bin/tool", "echo $OUTPUT_DIR > $OUTPUT_DIR/made",
           "python -c 'import riseml; riseml.report_result(accuracy=0.5, name=\"a\", good=True)'"});
  (*start.mutable_template_()->mutable_environment())["EXPERIMENT_ID"] = "some-id";
  start.mutable_template_()->add_commands(
      "echo id $EXPERIMENT_ID of $USER; echo $COMMAND_1; env | grep -c ^SECRET_OF_NODE; true");
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::EXITED);
  EXPECT_EQ(status.reason(), "COMPLETED");
  EXPECT_EQ(status.exit_code(), 0);
  EXPECT_EQ(status.exit_class(), Observation::SUCCESS);
  EXPECT_THAT(status.message(), HasSubstr("return code: 0"));
  EXPECT_EQ(LogOf(start).bytes, "hello from the code\ntool\nid some-id of paul\ncat hello.txt; bin/tool\n0\n");
  EXPECT_THAT(suite_.jobs.Of(start.token()),
              UnorderedElementsAre(Pair("accuracy", "0.5"), Pair("name", "\"a\""), Pair("good", "true")));
  EXPECT_EQ(ReadAll(OutputOf(start) + "/riseml-experiment.yml"), "project: project\n");
  EXPECT_THAT(ReadAll(OutputOf(start) + "/made"),
              std::string(GetParam()) == kIsolationNone ? OutputOf(start) + "\n" : "/output\n");
  EXPECT_TRUE(Eventually([&] { return !FileExists(DirOf(start).code()) && !FileExists(DirOf(start).temporary()); }));
}

TEST_P(NodeTest, SaysWhichCommandFailed) {
  const StartAttemptRequest start = Job({"echo one", "exit 3", "echo never"});
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::EXITED);
  EXPECT_EQ(status.message(), "Command `exit 3` return code: 3");
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_EQ(status.exit_class(), Observation::USER_ERROR);
  EXPECT_EQ(LogOf(start).bytes, "one\n");
}

TEST_P(NodeTest, StartsOnceHoweverOftenItIsAsked) {
  const StartAttemptRequest start = Job({"echo x >> $OUTPUT_DIR/count", kWaitForGo});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  EXPECT_TRUE(Start(start).ok());
  WriteAll(OutputOf(start) + "/go", "");
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
  EXPECT_TRUE(Start(start).ok());
  EXPECT_TRUE(IsIn(start, AttemptStatus::ENDED));
  EXPECT_EQ(ReadAll(OutputOf(start) + "/count"), "x\n");

  StartAttemptRequest older = start;
  older.set_attempt(2);
  ASSERT_TRUE(Start(older).ok());
  older.set_attempt(1);
  EXPECT_TRUE(Start(older).ok()) << "a known attempt is left as it is";
  StartAttemptRequest unknown = Job({"true"});
  unknown.set_attempt(3);
  RunToEnd(unknown);
  unknown.set_attempt(2);
  EXPECT_EQ(Start(unknown).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  older.set_attempt(2);
  WaitForEnd(older);
}

TEST_P(NodeTest, StopEndsTheWholeTreeAfterTheGracePeriod) {
  StartAttemptRequest start =
      Job({"trap '' TERM; (trap '' TERM; setsid sleep 1000) & sleep 1000 & echo ready; touch $OUTPUT_DIR/here; wait; "
           "wait; sleep 1000"});
  start.set_grace_seconds(1);
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  ASSERT_TRUE(Stop(start).ok());
  const AttemptStatus status = WaitForEnd(start);
  EXPECT_EQ(status.end(), Observation::STOPPED);
  EXPECT_EQ(status.reason(), "KILLED");
  EXPECT_TRUE(Stop(start).ok()) << "may be asked again";
  EXPECT_EQ(LogOf(start).bytes, "ready\n");
}

TEST_P(NodeTest, StopBeforeTheStartWins) {
  const StartAttemptRequest start = Job({"touch $OUTPUT_DIR/here"});
  ASSERT_TRUE(Stop(start).ok());
  ASSERT_TRUE(Start(start).ok());
  const AttemptStatus status = StatusOf(start).value_or(AttemptStatus());
  EXPECT_EQ(status.phase(), AttemptStatus::ENDED);
  EXPECT_EQ(status.end(), Observation::STOPPED);
  EXPECT_TRUE(Forget(start).ok());
  EXPECT_TRUE(Eventually([&] { return !FileExists(DirOf(start).path()); }));
  EXPECT_FALSE(FileExists(OutputOf(start)));
}

TEST_P(NodeTest, StopWhilePreparingWins) {
  suite_.code.Refuse(grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"));
  const StartAttemptRequest start = Job({"touch $OUTPUT_DIR/here"});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return suite_.code.calls() > 0; }));
  EXPECT_TRUE(IsIn(start, AttemptStatus::PREPARING));
  ASSERT_TRUE(Stop(start).ok());
  EXPECT_EQ(WaitForEnd(start).end(), Observation::STOPPED);
  EXPECT_FALSE(FileExists(OutputOf(start) + "/here"));
}

TEST_P(NodeTest, WaitsForTheCodeAndReportsCodeThatIsNotThere) {
  suite_.StopInternalListener();
  const StartAttemptRequest start = Job({"cat hello.txt"});
  ASSERT_TRUE(Start(start).ok());
  suite_.StartInternalListener();
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
  EXPECT_EQ(LogOf(start).bytes, "hello from the code\n");

  StartAttemptRequest lost = Job({"true"});
  lost.mutable_template_()->set_commit(std::string(40, 'f'));
  const AttemptStatus status = RunToEnd(lost);
  EXPECT_EQ(status.end(), Observation::START_FAILED);
  EXPECT_THAT(status.message(), HasSubstr("no such commit"));
  EXPECT_EQ(LogOf(lost).bytes, "");
}

TEST_P(NodeTest, JobsOutliveAKilledNode) {
  const StartAttemptRequest running = Job({"echo x >> $OUTPUT_DIR/count", kWaitForGo, "echo done; exit 4"});
  const StartAttemptRequest ending = Job({kWaitForGo, "echo ended alone"});
  for (const StartAttemptRequest& start : {running, ending}) {
    ASSERT_TRUE(Start(start).ok());
    ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  }
  KillNode();
  WriteAll(OutputOf(ending) + "/go", "");
  ASSERT_TRUE(Eventually([&] { return LogOf(ending).final_offset >= 0; })) << "ship needs no node";
  StartNode();
  EXPECT_EQ(WaitForEnd(ending).exit_code(), 0);
  EXPECT_TRUE(IsIn(running, AttemptStatus::RUNNING));
  WriteAll(OutputOf(running) + "/go", "");
  const AttemptStatus status = WaitForEnd(running);
  EXPECT_EQ(status.end(), Observation::EXITED);
  EXPECT_EQ(status.exit_code(), 4);
  EXPECT_EQ(ReadAll(OutputOf(running) + "/count"), "x\n");
}

TEST_P(NodeTest, AnAcceptedStartOutlivesAKilledNode) {
  suite_.code.Refuse(grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"));
  const StartAttemptRequest start = Job({"echo x >> $OUTPUT_DIR/count"});
  ASSERT_TRUE(Start(start).ok());
  KillNode();
  suite_.code.Refuse(grpc::Status::OK);
  StartNode();
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
  EXPECT_EQ(ReadAll(OutputOf(start) + "/count"), "x\n");
}

TEST_P(NodeTest, NeverStartsTwiceWhenKilledBetweenStartAndRecord) {
  const StartAttemptRequest start = Job({"echo x >> $OUTPUT_DIR/count", kWaitForGo});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  KillNode();
  // As if it had been killed before it could write down which process it had started.
  auto launch = *ReadMessage<internal::v1::LaunchRecord>(DirOf(start).launch());
  launch.clear_process();
  ASSERT_TRUE(WriteMessage(DirOf(start).launch(), launch).ok());
  StartNode();
  EXPECT_TRUE(IsIn(start, AttemptStatus::RUNNING));
  WriteAll(OutputOf(start) + "/go", "");
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
  EXPECT_EQ(ReadAll(OutputOf(start) + "/count"), "x\n");
}

TEST_P(NodeTest, AKilledRunIsLostWithAllItsProcesses) {
  const StartAttemptRequest start =
      Job({"(while :; do echo x >> $OUTPUT_DIR/beat; sleep 0.02; done) & echo printed", kWaitForGo});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  const UniqueFd journal = *OpenFile(DirOf(start).journal(), O_RDWR);
  const pid_t run = *LockHolder(journal.get());
  ASSERT_GT(run, 0);
  ASSERT_EQ(kill(run, SIGKILL), 0);
  const AttemptStatus status = WaitForEnd(start);
  EXPECT_EQ(status.end(), Observation::LOST);
  EXPECT_EQ(status.message(), "agent run was killed");
  EXPECT_EQ(status.exit_class(), Observation::INFRASTRUCTURE);
  EXPECT_EQ(LogOf(start).bytes, "printed\n");
  // Nothing writes any more: the directory can be replaced by a file that nobody touches.
  std::filesystem::remove(OutputOf(start) + "/beat");
  EXPECT_EQ(ProcessesWithVariable("RISEML_SOCKET=" + DirOf(start).socket()).size(), 0u);
  EXPECT_FALSE(FileExists(OutputOf(start) + "/beat"));
}

TEST_P(NodeTest, AfterAnotherBootTheAttemptIsLost) {
  const StartAttemptRequest start = Job({kWaitForGo});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  KillNode();
  const UniqueFd journal = *OpenFile(DirOf(start).journal(), O_RDWR);
  ASSERT_EQ(kill(*LockHolder(journal.get()), SIGKILL), 0);
  ASSERT_TRUE(Eventually([&] { return *LockHolder(journal.get()) == 0; }));
  auto launch = *ReadMessage<internal::v1::LaunchRecord>(DirOf(start).launch());
  launch.set_boot_id("another");
  launch.mutable_process()->set_boot_id("another");
  ASSERT_TRUE(WriteMessage(DirOf(start).launch(), launch).ok());
  StartNode();
  const AttemptStatus status = WaitForEnd(start);
  EXPECT_EQ(status.end(), Observation::LOST);
  EXPECT_EQ(status.reason(), "NODE_LOST");
}

TEST_P(NodeTest, AKilledShipIsStartedAgainAndLosesNothing) {
  const StartAttemptRequest start =
      Job({"i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done", kWaitForGo, "echo last"});
  std::string expected;
  for (int i = 0; i < 20000; ++i) absl::StrAppend(&expected, "line ", i, "\n");
  ASSERT_TRUE(Start(start).ok());
  for (int kills = 0; kills < 3; ++kills) {
    ASSERT_TRUE(Eventually([&] { return FileExists(DirOf(start).ship_lock()); }));
    const UniqueFd lock = *OpenFile(DirOf(start).ship_lock(), O_RDWR);
    pid_t ship = 0;
    ASSERT_TRUE(Eventually([&] { return (ship = *LockHolder(lock.get())) > 0; })) << ReadAll(DirOf(start).ship_log());
    kill(ship, SIGKILL);
    ASSERT_TRUE(Eventually([&] { return *LockHolder(lock.get()) != ship; }));
  }
  WriteAll(OutputOf(start) + "/go", "");
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
  EXPECT_EQ(LogOf(start).bytes, expected + "last\n");
}

TEST_P(NodeTest, ForgetsOnlyWhatIsShipped) {
  suite_.StopUserListener();
  const StartAttemptRequest start = Job({"echo kept"});
  ASSERT_TRUE(Start(start).ok());
  EXPECT_TRUE(Forget(start).ok()) << "means nothing before the end";
  ASSERT_TRUE(Eventually([&] { return IsIn(start, AttemptStatus::ENDED); }));
  EXPECT_TRUE(Forget(start).ok());
  EXPECT_TRUE(FileExists(DirOf(start).path()));
  suite_.StartUserListener();
  EXPECT_TRUE(Eventually([&] { return !FileExists(DirOf(start).path()); }));
  EXPECT_EQ(LogOf(start).bytes, "kept\n");
  EXPECT_EQ(LogOf(start).final_offset, 5);
  EXPECT_FALSE(StatusOf(start).has_value());
  EXPECT_TRUE(Forget(start).ok());
}

TEST_P(NodeTest, BuildsAnEnvironmentThatJobsThenFind) {
  const std::string environment = directory_ / "environments/key";
  StartAttemptRequest build = Job({});
  build.set_role("build");
  build.mutable_template_()->clear_output_subpath();
  build.set_environment_path(environment);
  for (const std::string& command : {absl::StrCat("/usr/bin/python3 -m venv --without-pip ", environment),
                                     std::string("python -c 'import sys; print(sys.prefix)'")}) {
    auto& step = *build.add_build_steps();
    step.set_title("do " + command.substr(0, 6));
    step.set_command(command);
  }
  const AttemptStatus built = RunToEnd(build);
  EXPECT_EQ(built.exit_code(), 0) << LogOf(build).bytes;
  EXPECT_EQ(LogOf(build).bytes, absl::StrCat("==> Step 1/2: do /usr/b\n==> Step 2/2: do python\n", environment,
                                             "\n==> Build process finished.\n"));
  EXPECT_EQ(built.message(), "");

  StartAttemptRequest train = Job({"python -c 'import sys; print(sys.prefix)'; echo $VIRTUAL_ENV"});
  train.set_environment_path(environment);
  EXPECT_EQ(RunToEnd(train).exit_code(), 0);
  EXPECT_EQ(LogOf(train).bytes, absl::StrCat(environment, "\n", environment, "\n"));

  StartAttemptRequest gone = Job({"true"});
  gone.set_environment_path(directory_ / "environments/gone");
  EXPECT_EQ(RunToEnd(gone).end(), Observation::START_FAILED);
}

TEST_P(NodeTest, SaysWhichBuildStepFailed) {
  StartAttemptRequest build = Job({});
  build.set_role("build");
  build.set_environment_path(directory_ / "environments/broken");
  auto& step = *build.add_build_steps();
  step.set_title("apt-get install cowsay");
  step.set_command("exit 100");
  const AttemptStatus status = RunToEnd(build);
  EXPECT_EQ(status.exit_code(), 100);
  EXPECT_EQ(status.message(), "Step 1/1 `apt-get install cowsay` return code: 100");
  EXPECT_THAT(LogOf(build).bytes, HasSubstr("==> Step 1/1 failed with exit code 100: apt-get install cowsay\n"));
  EXPECT_THAT(LogOf(build).bytes, HasSubstr("apt-get cannot install system packages here"));
}

TEST_P(NodeTest, WatchesTellTheInventoryAllAttemptsAndChanges) {
  const StartAttemptRequest before = Job({"true"});
  RunToEnd(before);
  grpc::ClientContext context;
  rpc::Prepare(context, absl::Seconds(60), NewUuid());
  const auto watch = stub_->WatchNode(&context, {});
  internal::v1::WatchNodeResponse event;
  ASSERT_TRUE(watch->Read(&event));
  ASSERT_TRUE(event.has_node());
  EXPECT_EQ(event.node().name(), "nodes/here");
  EXPECT_GT(event.node().cpus(), 0);
  EXPECT_GT(event.node().memory_bytes(), 0);
  EXPECT_EQ(event.node().isolation(), GetParam());
  ASSERT_TRUE(watch->Read(&event));
  EXPECT_EQ(event.attempt().job_uid(), before.job_uid());
  ASSERT_TRUE(watch->Read(&event));
  EXPECT_TRUE(event.synced());

  const StartAttemptRequest start = Job({"true"});
  ASSERT_TRUE(Start(start).ok());
  std::vector<AttemptStatus::Phase> phases;
  while (phases.empty() || phases.back() != AttemptStatus::ENDED) {
    ASSERT_TRUE(watch->Read(&event));
    if (event.has_attempt() && event.attempt().job_uid() == start.job_uid()) phases.push_back(event.attempt().phase());
  }
  EXPECT_EQ(phases.front(), AttemptStatus::PREPARING);
  EXPECT_TRUE(std::is_sorted(phases.begin(), phases.end()));
  do {
    ASSERT_TRUE(watch->Read(&event));
  } while (!event.alive());
  node_->Signal(SIGTERM);
  while (watch->Read(&event)) {
  }
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(node_->Wait(), 0) << "ends cleanly with an open watch";
}

TEST_P(NodeTest, RefusesServicesThatAreNotTheScheduler) {
  config::v1::ClientTls tls;
  tls.set_ca_file(suite_.certificates() + "/ca.crt");
  tls.set_certificate_file(suite_.certificates() + "/gitsync.crt");
  tls.set_key_file(suite_.certificates() + "/gitsync.key");
  const std::string text = ReadAll(directory_ / "node-1.log");
  const std::size_t at = text.find("port=", text.find("event=node_ready"));
  const std::string port = text.substr(at + 5, text.find_first_of(" \n", at) - at - 5);
  stub_ = internal::v1::NodeAgentService::NewStub(*rpc::ServiceChannel("127.0.0.1:" + port, tls));
  EXPECT_EQ(Start(Job({"true"})).error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

// What only a sandbox gives.
class SandboxedNodeTest : public NodeTest {};

TEST_P(SandboxedNodeTest, TheJobSeesOnlyWhatIsIts) {
  WriteAll(directory_ / "secret", "key");
  std::filesystem::create_directories(directory_ / "data");
  WriteAll(directory_ / "data/rows", "rows\n");
  const StartAttemptRequest start = Job({
      absl::StrCat("cat ", directory_ / "secret", " 2>/dev/null || echo no secret"),
      absl::StrCat("ls ", directory_ / "node", " 2>/dev/null || echo no node"),
      "cat /etc/shadow 2>/dev/null | grep root || echo no shadow",
      "cat /data/rows; touch /data/new 2>/dev/null || echo data is read-only",
      "ls /proc | grep -c '^[0-9]*$' | (read n; [ $n -lt 10 ] && echo few processes)",
      "touch /usr/x 2>/dev/null || echo usr is read-only",
      "grep CapEff /proc/self/status | grep -c 0000000000000000",
      "echo gpus=$CUDA_VISIBLE_DEVICES.; ls /dev | grep -c nvidia; true",
      "pwd; touch here; rm -r ../code/bin; ls",
      "[ -r $RISEML_SOCKET ] && wc -c < /run/riseml/token",
      "touch $HOME/x /tmp/y && echo home",
      "cat /etc/resolv.conf > /dev/null && echo resolv",
  });
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.exit_code(), 0) << status.message();
  EXPECT_EQ(LogOf(start).bytes, absl::StrCat("no secret\nno node\nno shadow\nrows\ndata is read-only\nfew "
                                             "processes\nusr is read-only\n1\ngpus=.\n0\n/code\nhello.txt\nhere\n",
                                             start.token().size(), "\nhome\nresolv\n"));
}

TEST_P(SandboxedNodeTest, WritingToDevStderrByNameDoesNotEmptyTheLog) {
  const StartAttemptRequest start =
      Job({"echo first", "echo second > /dev/stderr", "echo third | tee /dev/stdout > /dev/null"});
  EXPECT_EQ(RunToEnd(start).exit_code(), 0);
  EXPECT_EQ(LogOf(start).bytes, "first\nsecond\nthird\n");
}

INSTANTIATE_TEST_SUITE_P(Isolation, NodeTest, ::testing::Values(kIsolationNone, kIsolationBubblewrap),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Isolation, SandboxedNodeTest, ::testing::Values(kIsolationBubblewrap),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace riseml::agent
