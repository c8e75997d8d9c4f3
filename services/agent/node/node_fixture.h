// Fixture for contract tests of the node: a running `riseml-agent node` and fakes of everything around it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/node_agent.grpc.pb.h"
#include "services/agent/launch/launcher.h"
#include "services/agent/process/process.h"
#include "services/agent/testing.h"
#include "services/common/base/files/file.h"
#include "services/common/base/id.h"
#include "services/common/rpc/channel.h"

namespace riseml::agent::testing {

using internal::v1::AttemptStatus;
using internal::v1::Observation;
using internal::v1::StartAttemptRequest;

inline constexpr char kCommit[] = "0123456789012345678901234567890123456789";

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
    // Every process that an attempt of this test has started names the directory in its command line or in a variable.
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
            "/agent.key\ngitsync_address: ", suite_.internal_address(), "\napi_address: ", suite_.internal_address(),
            "\napi_user_address: ", suite_.user_address(), "\nloghandler_user_address: ", suite_.user_address(),
            "\nca_file: ", suite_.certificates(), "/ca.crt\ndata_dir: ", directory_ / "node",
            "\nvolume_data_dir: ", directory_ / "data", "\nvolume_output_dir: ", directory_ / "output",
            "\nenvironments_dir: ", directory_ / "environments", "\npython_client_dir: ", RISEML_PYTHON_CLIENT,
            "\nisolation: ", GetParam(), "\nnetwork: ", network_, "\n", more_config_));
    const std::string output = directory_ / absl::StrCat("node-", starts_, ".log");
    node_ = std::make_unique<ChildProcess>(
        std::vector<std::string>{RISEML_AGENT, "node", "--config", config},
        std::vector<std::string>{"PATH=" + path_, "HOME=/nonexistent", "SECRET_OF_NODE=1"}, output);
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
    start.mutable_grace()->set_seconds(60);
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
    request.set_epoch(start.epoch());
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
    request.set_epoch(start.epoch());
    internal::v1::ForgetAttemptsResponse response;
    return stub_->ForgetAttempts(&context, request, &response);
  }
  std::vector<AttemptStatus> List() {
    grpc::ClientContext context;
    rpc::Prepare(context, absl::Seconds(60), NewUuid());
    const auto watch = stub_->WatchNode(&context, {});
    std::vector<AttemptStatus> attempts;
    internal::v1::WatchNodeResponse event;
    while (watch->Read(&event) && !event.synced()) {
      if (event.has_attempt()) attempts.push_back(event.attempt());
    }
    EXPECT_TRUE(event.synced());
    context.TryCancel();
    watch->Finish();
    return attempts;
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
  // Returns the status at the end, when log and results have been delivered too.
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
  std::string network_ = "shared";
  std::string more_config_;             // lines of YAML
  std::string path_ = "/usr/bin:/bin";  // of the node
  int starts_ = 0;
  std::unique_ptr<ChildProcess> node_;
  std::unique_ptr<internal::v1::NodeAgentService::Stub> stub_;
};

// Command that makes `here` in the job's output, then waits until the test makes `go` there.
inline constexpr char kWaitForGo[] = "touch $OUTPUT_DIR/here; while [ ! -e $OUTPUT_DIR/go ]; do sleep 0.02; done";

}  // namespace riseml::agent::testing
