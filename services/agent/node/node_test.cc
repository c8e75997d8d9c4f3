// `riseml-agent node` as a process, over TLS, with jobs that are processes; once without a sandbox and once with one.

#include "services/agent/node/node_fixture.h"

namespace riseml::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using namespace riseml::agent::testing;

TEST_P(NodeTest, RunsAJobFromItsCodeToItsResults) {
  StartAttemptRequest start =
      Job({"cat hello.txt; bin/tool", "echo $OUTPUT_DIR > $OUTPUT_DIR/made",
           "python -c 'import riseml; riseml.report_result(accuracy=0.5, name=\"a\", good=True)'",
           "riseml-report epochs=3"});
  (*start.mutable_template_()->mutable_environment())["EXPERIMENT_ID"] = "some-id";
  start.set_environment_key("0123abcd");
  start.mutable_template_()->add_commands(
      "echo id $EXPERIMENT_ID of $USER; echo $COMMAND_1; env | grep -c ^SECRET_OF_NODE || true");
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::EXITED);
  EXPECT_EQ(status.reason(), "COMPLETED");
  EXPECT_EQ(status.exit_code(), 0);
  EXPECT_EQ(status.exit_class(), v1::Attempt::SUCCESS);
  EXPECT_THAT(status.message(), HasSubstr("return code: 0"));
  EXPECT_EQ(LogOf(start).bytes, "hello from the code\ntool\nid some-id of paul\ncat hello.txt; bin/tool\n0\n");
  EXPECT_THAT(suite_.jobs.Of(start.token()), UnorderedElementsAre(Pair("accuracy", "0.5"), Pair("name", "\"a\""),
                                                                  Pair("good", "true"), Pair("epochs", "3")));
  EXPECT_EQ(ReadAll(OutputOf(start) + "/riseml-experiment.yml"), "# Environment: 0123abcd\nproject: project\n");
  EXPECT_THAT(ReadAll(OutputOf(start) + "/made"), OutputOf(start) + "\n");
  EXPECT_TRUE(Eventually([&] { return !FileExists(DirOf(start).code()) && !FileExists(DirOf(start).temporary()); }));
}

TEST_P(NodeTest, SaysWhichCommandFailed) {
  const StartAttemptRequest start = Job({"echo one", "exit 3", "echo never"});
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.end(), Observation::EXITED);
  EXPECT_EQ(status.message(), "Command `exit 3` return code: 3");
  EXPECT_EQ(status.exit_code(), 3);
  EXPECT_EQ(status.exit_class(), v1::Attempt::USER_ERROR);
  EXPECT_EQ(LogOf(start).bytes, "one\n");
}

TEST_P(NodeTest, SaysWhatAnAttemptLeavesAsItWasAtTheEnd) {
  const StartAttemptRequest start = Job({"head -c 3000000 /dev/urandom > $OUTPUT_DIR/weights"});
  const AttemptStatus status = RunToEnd(start);
  ASSERT_TRUE(status.has_output());
  EXPECT_GE(status.output().bytes(), 3'000'000);
  EXPECT_LT(status.output().bytes(), 4'000'000);
  EXPECT_FALSE(status.output().at_least());
  std::filesystem::remove(OutputOf(start) + "/weights");
  KillNode();
  StartNode();
  ASSERT_TRUE(Eventually([&] { return IsIn(start, AttemptStatus::ENDED); }));
  EXPECT_EQ(StatusOf(start)->output().bytes(), status.output().bytes()) << "others may write there meanwhile";

  StartAttemptRequest build = Job({"true"});
  build.mutable_template_()->clear_output_subpath();
  EXPECT_FALSE(RunToEnd(build).has_output());
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
  start.mutable_grace()->set_seconds(1);
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  ASSERT_TRUE(Stop(start).ok());
  const AttemptStatus status = WaitForEnd(start);
  EXPECT_EQ(status.end(), Observation::STOPPED);
  EXPECT_EQ(status.reason(), "KILLED");
  EXPECT_TRUE(Stop(start).ok()) << "may be asked again";
  EXPECT_THAT(LogOf(start).bytes, ::testing::EndsWith("==> Killed: it still ran 1 s after SIGTERM.\n"));
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

TEST_P(NodeTest, PreparationsOfOneUserDoNotHoldUpAnother) {
  constexpr char kLarge[] = "9999999999999999999999999999999999999999";
  suite_.code.Put(kLarge, MakeTar({{"large", "x"}}));
  suite_.code.Hold(kLarge);
  const std::string paul = NewUuid();
  std::vector<StartAttemptRequest> large;
  for (int i = 0; i < 6; ++i) {
    large.push_back(Job({"true"}));
    large.back().mutable_template_()->set_commit(kLarge);
    large.back().mutable_template_()->set_owner_uid(paul);
    ASSERT_TRUE(Start(large.back()).ok());
  }
  ASSERT_TRUE(Eventually([&] { return suite_.code.calls() >= 3; }));
  StartAttemptRequest small = Job({"true"});
  small.mutable_template_()->set_owner_uid(NewUuid());
  EXPECT_EQ(RunToEnd(small).end(), Observation::EXITED);
  EXPECT_EQ(suite_.code.calls(), 4) << "three of the one, and that of the other";
  suite_.code.Hold("");
  for (const StartAttemptRequest& start : large) EXPECT_EQ(WaitForEnd(start).end(), Observation::EXITED);
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
  for (const std::string& command :
       {absl::StrCat("/usr/bin/python3 -m venv --without-pip ", environment),
        absl::StrCat("python -c 'import sys; print(sys.prefix)' && touch ", environment, "/.riseml-complete")}) {
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
  EXPECT_TRUE(Eventually([&] { return !FileExists(directory_ / "environments/broken"); })) << "nothing is left of it";
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
  EXPECT_EQ(event.node().isolation(), GetParam() == std::string("none") ? v1::Node::NONE : v1::Node::BUBBLEWRAP);
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

// Tests of the walls that only a sandbox gives.
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
      "echo gpus=$CUDA_VISIBLE_DEVICES.; ls /dev | grep -c nvidia || true",
      "pwd; touch here; rm -r ../code/bin; ls",
      "[ -r $RISEML_SOCKET ] && echo socket",
      "touch $HOME/x /tmp/y && echo home",
      "cat /etc/resolv.conf > /dev/null && echo resolv",
  });
  const AttemptStatus status = RunToEnd(start);
  EXPECT_EQ(status.exit_code(), 0) << status.message();
  EXPECT_THAT(LogOf(start).bytes,
              StartsWith(absl::StrCat("no secret\nno node\nno shadow\nrows\ndata is read-only\nfew "
                                      "processes\nusr is read-only\n1\ngpus=.\n0\n/code\nhello.txt\nhere\n",
                                      "socket\nhome\nresolv\n==> Kept 1 file (0 bytes)")));
}

TEST_P(NodeTest, WritesToStandardStreamsUnderAllTheirNamesInOrder) {
  const StartAttemptRequest start =
      Job({"echo first", "echo second > /dev/stderr; echo 3 >> /dev/stdout",
           "for name in /dev/fd/1 /dev/fd/2 /proc/self/fd/1 /proc/self/fd/2; do echo $name > $name; echo; done",
           "echo fourth | tee /dev/stderr > /dev/null; python -c 'open(\"/dev/stdout\", \"w\").write(\"end\\n\")'"});
  EXPECT_EQ(RunToEnd(start).exit_code(), 0);
  EXPECT_EQ(LogOf(start).bytes,
            "first\nsecond\n3\n/dev/fd/1\n\n/dev/fd/2\n\n/proc/self/fd/1\n\n/proc/self/fd/2\n\nfourth\nend\n");
}

INSTANTIATE_TEST_SUITE_P(Isolation, NodeTest, ::testing::Values(kIsolationNone, kIsolationBubblewrap),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(Isolation, SandboxedNodeTest, ::testing::Values(kIsolationBubblewrap),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace riseml::agent
