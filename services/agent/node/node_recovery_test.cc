// Everything that is killed: node, run, ship, the machine. Once without a sandbox and once with one.

#include <fcntl.h>

#include <thread>

#include "services/agent/node/node_fixture.h"
#include "services/common/base/status.h"
#include "services/common/rpc/status.h"

namespace riseml::agent {
namespace {

using namespace riseml::agent::testing;

using NodeRecoveryTest = NodeTest;

TEST_P(NodeRecoveryTest, ADeposedLeaderChangesNothingEvenAfterARestart) {
  StartAttemptRequest start = Job({kWaitForGo});
  start.set_epoch(7);
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  StartAttemptRequest old = start;
  old.set_epoch(6);
  const auto refused = [](const grpc::Status& status) { return HasReason(rpc::FromGrpc(status), Reason::kNotLeader); };
  EXPECT_TRUE(refused(Stop(old)));
  KillNode();
  StartNode();
  EXPECT_TRUE(refused(Stop(old))) << "the epoch is remembered";
  EXPECT_TRUE(refused(Forget(old)));
  StartAttemptRequest other = Job({"true"});
  other.set_epoch(6);
  EXPECT_TRUE(refused(Start(other)));
  EXPECT_EQ(List().size(), 1u);
  EXPECT_TRUE(Stop(start).ok());
  EXPECT_EQ(WaitForEnd(start).end(), Observation::STOPPED);
}

TEST_P(NodeRecoveryTest, NodeTakesNoMoreThanItHasEvenAfterARestart) {
  StartAttemptRequest all = Job({kWaitForGo});
  all.mutable_resources()->set_cpus(std::thread::hardware_concurrency());
  ASSERT_TRUE(Start(all).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(all) + "/here"); }));
  EXPECT_EQ(StatusOf(all)->resources().cpus(), all.resources().cpus());
  KillNode();
  StartNode();
  StartAttemptRequest more = Job({"true"});
  more.mutable_resources()->set_cpus(1);
  ASSERT_TRUE(Start(more).ok());
  const std::optional<AttemptStatus> rejected = StatusOf(more);
  ASSERT_TRUE(rejected);
  EXPECT_EQ(rejected->end(), Observation::REJECTED);
  EXPECT_EQ(rejected->reason(), "DOES_NOT_FIT");
  EXPECT_EQ(rejected->message(), "needs 1 CPUs, 0 free");
  EXPECT_TRUE(Forget(more).ok());
  EXPECT_TRUE(Eventually([&] { return !StatusOf(more); })) << "nothing is left to deliver";
  EXPECT_TRUE(Stop(all).ok());
  EXPECT_FALSE(WaitForEnd(all).has_resources());
  more.set_attempt(2);
  EXPECT_EQ(RunToEnd(more).exit_code(), 0);
}

TEST_P(NodeRecoveryTest, JobsOutliveAKilledNode) {
  const StartAttemptRequest running = Job({"echo x >> $OUTPUT_DIR/count", kWaitForGo, "echo done; exit 4"});
  const StartAttemptRequest ending = Job({"echo begins", kWaitForGo, "echo ends alone"});
  for (const StartAttemptRequest& start : {running, ending}) {
    ASSERT_TRUE(Start(start).ok());
    ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  }
  ASSERT_TRUE(Eventually([&] { return LogOf(ending).bytes == "begins\n"; })) << "ship runs";
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

TEST_P(NodeRecoveryTest, AnAcceptedStartOutlivesAKilledNode) {
  suite_.code.Refuse(grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"));
  const StartAttemptRequest start = Job({"echo x >> $OUTPUT_DIR/count"});
  ASSERT_TRUE(Start(start).ok());
  KillNode();
  suite_.code.Refuse(grpc::Status::OK);
  StartNode();
  EXPECT_EQ(WaitForEnd(start).exit_code(), 0);
  EXPECT_EQ(ReadAll(OutputOf(start) + "/count"), "x\n");
}

TEST_P(NodeRecoveryTest, NeverStartsTwiceWhenKilledBetweenStartAndRecord) {
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

TEST_P(NodeRecoveryTest, AKilledRunIsLostWithAllItsProcesses) {
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
  EXPECT_EQ(status.message(), "the program that runs the commands (riseml-job) was killed");
  EXPECT_EQ(status.exit_class(), v1::Attempt::INFRASTRUCTURE);
  EXPECT_EQ(LogOf(start).bytes, "printed\n");
  // Nothing writes any more: the directory can be replaced by a file that nobody touches.
  std::filesystem::remove(OutputOf(start) + "/beat");
  EXPECT_EQ(ProcessesWithVariable("RISEML_SOCKET=" + DirOf(start).socket()).size(), 0u);
  EXPECT_FALSE(FileExists(OutputOf(start) + "/beat"));
}

TEST_P(NodeRecoveryTest, WhatWasPrintedOutlivesAKilledRun) {
  const StartAttemptRequest start = Job(
      {"echo early", absl::StrCat(kWaitForGo, "; echo late; touch $OUTPUT_DIR/printed; while :; do sleep 1; done")});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  const UniqueFd journal = *OpenFile(DirOf(start).journal(), O_RDWR);
  const pid_t run = *LockHolder(journal.get());
  ASSERT_EQ(kill(run, SIGSTOP), 0);  // it copies nothing any more
  WriteAll(OutputOf(start) + "/go", "");
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/printed"); }));
  ASSERT_EQ(kill(run, SIGKILL), 0);
  EXPECT_EQ(WaitForEnd(start).end(), Observation::LOST);
  EXPECT_EQ(LogOf(start).bytes, "early\nlate\n");
}

TEST_P(NodeRecoveryTest, AfterAnotherBootTheAttemptIsLost) {
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

TEST_P(NodeRecoveryTest, NothingRunsOnForAnInstallationThatWasDeleted) {
  const StartAttemptRequest start = Job({"echo printed; touch $OUTPUT_DIR/here; sleep 1000"});
  ASSERT_TRUE(Start(start).ok());
  ASSERT_TRUE(Eventually([&] { return FileExists(OutputOf(start) + "/here"); }));
  KillNode();
  for (const pid_t pid : ProcessesNaming("OUTPUT_DIR=" + OutputOf(start))) kill(pid, SIGKILL);
  ASSERT_TRUE(RemoveTree(directory_ / "node").ok());
  EXPECT_TRUE(Eventually([&] { return ProcessesNaming(DirOf(start).path()).empty(); }));
}

TEST_P(NodeRecoveryTest, AKilledShipIsStartedAgainAndLosesNothing) {
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

INSTANTIATE_TEST_SUITE_P(Isolation, NodeRecoveryTest, ::testing::Values(kIsolationNone, kIsolationBubblewrap),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace riseml::agent
