// Lives of attempts under `riseml-job run`: order, stops, results, logs.
#include "services/agent/run/runner.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/agent/run/runner_fixture.h"
#include "services/common/base/clock.h"

namespace riseml::agent {
namespace {

using internal::v1::Observation;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace riseml::agent::testing;

TEST_F(RunnerTest, RunsCommandsInOrderWithTheGivenEnvironmentOnly) {
  const auto ended = Run({"echo out; echo err >&2; env | grep -v -e PWD -e '^_=' -e SHLVL | sort", "pwd; cat"});
  EXPECT_EQ(Log(),
            absl::StrCat("out\nerr\nDIR=", directory_.path(), "\nPATH=/usr/bin:/bin\n", directory_.path(), "\n"));
  EXPECT_EQ(ended.event(), Observation::EXITED);
  EXPECT_EQ(ended.exit_code(), 0);
}

TEST_F(RunnerTest, StopsAtTheFirstFailure) {
  const auto ended = Run({"echo one", "exit 7", "echo never"});
  EXPECT_EQ(Log(), "one\n");
  EXPECT_EQ(ended.exit_code(), 7);
  EXPECT_EQ(ended.message(), "Command `exit 7` return code: 7");
}

TEST_F(RunnerTest, ASignalIs128More) { EXPECT_EQ(Run({"kill -SEGV $$"}).exit_code(), 128 + SIGSEGV); }

TEST_F(RunnerTest, ACommandThatIsNotThereIs127) { EXPECT_EQ(Run({"no-such-program"}).exit_code(), 127); }

TEST_F(RunnerTest, KillsWhatCommandsLeaveBehind) {
  const auto ended =
      Run({"setsid sh -c 'trap \"\" TERM HUP; echo $$ > $DIR/left; sleep 1000' & while [ ! -s $DIR/left ]; do sleep "
           "0.01; done"});
  EXPECT_EQ(ended.exit_code(), 0);
  EXPECT_TRUE(IsGone("left"));
}

TEST_F(RunnerTest, LeavesBackgroundProcessesToTheNextCommand) {
  const auto ended =
      Run({"(while :; do sleep 0.01; done) & echo $! > $DIR/server", "kill -0 $(cat $DIR/server) && echo alive"});
  EXPECT_EQ(ended.exit_code(), 0);
  EXPECT_EQ(Log(), "alive\n");
  EXPECT_TRUE(IsGone("server"));
}

TEST_F(RunnerTest, StopSendsTermToTheWholeTree) {
  Start(
      {"sh -c 'trap \"echo child; exit 0\" TERM; touch $DIR/child; while :; do sleep 0.01; done' & "
       "trap 'wait; echo shell; exit 5' TERM; touch $DIR/here; while :; do sleep 0.01; done"});
  WaitForFile("here");
  WaitForFile("child");
  process_->Signal(SIGTERM);
  const auto ended = Wait();
  EXPECT_EQ(ended.event(), Observation::STOPPED);
  EXPECT_EQ(ended.exit_code(), 5);
  EXPECT_THAT(Log(), HasSubstr("child\n"));  // the shells may say "Terminated" of their own children
  EXPECT_THAT(Log(), HasSubstr("shell\n"));  // a stop that takes a second is told below it
}

TEST_F(RunnerTest, KillsWhatIgnoresTermAfterTheGracePeriod) {
  plan_.mutable_grace()->set_seconds(1);
  Start(
      {"trap '' TERM; echo $$ > $DIR/main; (trap '' TERM; setsid sh -c 'echo $$ > $DIR/other; touch $DIR/here; while "
       ":; do sleep 1; done') & wait; while :; do sleep 1; done"});
  WaitForFile("here");
  process_->Signal(SIGTERM);
  process_->Signal(SIGTERM);
  const auto ended = Wait();
  EXPECT_EQ(ended.event(), Observation::STOPPED);
  EXPECT_EQ(ended.exit_code(), 128 + SIGKILL);
  EXPECT_TRUE(IsGone("main"));
  EXPECT_TRUE(IsGone("other"));
}

TEST_F(RunnerTest, StopBetweenCommandsStartsNoFurtherOne) {
  Start({"touch $DIR/here; trap 'exit 0' TERM; while :; do sleep 0.01; done", "echo never"});
  WaitForFile("here");
  process_->Signal(SIGINT);
  EXPECT_EQ(Wait().event(), Observation::STOPPED);
  EXPECT_THAT(Log(), Not(HasSubstr("never")));
}

TEST_F(RunnerTest, EndsAtTheLongestRunTime) {
  plan_.mutable_max_run_time()->set_seconds(1);
  const auto ended = Run({"sleep 1000"});
  EXPECT_EQ(ended.event(), Observation::EXITED);
  EXPECT_EQ(ended.reason(), "RUN_TIME_EXCEEDED");
  EXPECT_EQ(ended.exit_code(), 128 + SIGTERM);
}

TEST_F(RunnerTest, KeepsEveryByte) {
  Start(
      {"/usr/bin/python3 -c \"import os,sys; os.write(1, b'a\\\\0b\\\\xff\\\\xfe\\\\r\\\\n'); b=b'x'*10485760; "
       "o=0\nwhile o<len(b): o+=os.write(2,b[o:])\n\""});
  const auto ended = Wait();
  EXPECT_EQ(ended.exit_code(), 0) << Log().substr(0, 500);
  EXPECT_TRUE(Log() == std::string("a\0b\xff\xfe\r\n", 7) + std::string(10485760, 'x'));
}

TEST_F(RunnerTest, WhoPrintsTooFastWaitsAndLosesNothing) {
  constexpr std::size_t kPrinted = 80 << 20;  // more than a burst
  plan_.add_commands(absl::StrCat("head -c ", kPrinted, " /dev/zero"));
  plan_.add_commands("echo next");
  WriteAll(directory_ / "run.pb", plan_.SerializeAsString());
  const pid_t run = fork();
  if (run == 0) {
    const FakeClock still;  // so everything is printed in no time, however slow the machine is
    _exit(RunAttempt(directory_.path(), still).ok() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(run, &status, 0), run);
  EXPECT_EQ(status, 0);
  const std::string log = Log();
  const std::size_t notice = log.find("==> The job prints more than 32 MiB a second");
  ASSERT_NE(notice, std::string::npos);
  EXPECT_GT(notice, std::size_t{64} << 20);
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(log, '\0')), kPrinted);
  EXPECT_TRUE(log.ends_with("next\n"));
}

TEST_F(RunnerTest, CommandsGiveWayToServices) {
  const bool by_session = FileExists("/proc/self/autogroup");
  const auto ended = Run({"[ $(nice) -ge 10 ]",
                          by_session ? "until grep -q 'nice 10' /proc/self/autogroup; do sleep 0.05; done" : "true"});
  EXPECT_EQ(ended.exit_code(), 0) << Log();
}

TEST_F(RunnerTest, RunsOnlyOnce) {
  Run({"echo once"});
  ChildProcess again({RISEML_JOB, "run", "--dir", directory_.path()}, {}, directory_ / "own.log");
  EXPECT_EQ(again.Wait(), 0);
  EXPECT_EQ(Log(), "once\n");
}

TEST_F(RunnerTest, RunsNothingThatHasEndedBefore) {
  ASSERT_TRUE(EndJournal(directory_ / "journal", internal::v1::AttemptEnded()).ok());
  Start({"echo never"});
  EXPECT_EQ(process_->Wait(), 0);
  EXPECT_EQ(Log(), "");
}

TEST_F(RunnerTest, TakesResults) {
  Start({"touch $DIR/here; while [ ! -e $DIR/go ]; do sleep 0.01; done"});
  WaitForFile("here");
  const UniqueFd client = Connect();
  EXPECT_EQ(Ask(client, "{\"results\": {\"name\": \"a\\nb\"}}\n"), "{\"ok\":true}");
  EXPECT_EQ(Ask(client, "{\"results\": {\"good\": true}}\n"), "{\"ok\":true}");
  EXPECT_THAT(Ask(client, "{\"results\": {\"list\": [1]}}\n"), HasSubstr("must be a number, a text or a boolean"));
  EXPECT_THAT(Ask(client, "nonsense\n"), HasSubstr("not a JSON object"));
  EXPECT_THAT(Ask(client, "{\"other\": 1}\n"), HasSubstr("must be"));
  EXPECT_THAT(Ask(Connect(), std::string(70 << 10, 'x') + "\n"), HasSubstr("at most 65536 bytes"));
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 80; ++i) idle.push_back(Connect());  // more than are served at once: others wait
  EXPECT_EQ(Ask(client, "{\"results\": {\"last\": 1}}\n"), "{\"ok\":true}");
  for (const UniqueFd& waiting : idle) EXPECT_EQ(send(waiting.get(), "", 0, MSG_NOSIGNAL), 0);
  UniqueFd last = Connect();
  idle.clear();
  EXPECT_EQ(Ask(last, "{\"results\": {\"waited\": 1}}\n"), "{\"ok\":true}");
  WriteAll(directory_ / "go", "");
  Wait();
  EXPECT_EQ(ReadAll(directory_ / "results"), "{\"name\":\"a\\nb\"}\n{\"good\":true}\n{\"last\":1}\n{\"waited\":1}\n");
}

TEST_F(RunnerTest, TakesResultsThatWereReportedJustBeforeTheEnd) {
  (*plan_.mutable_environment())["RISEML_SOCKET"] = directory_ / "socket";
  (*plan_.mutable_environment())["PYTHONPATH"] = RISEML_PYTHON_CLIENT;
  Run({"/usr/bin/python3 -c 'import riseml; riseml.report_result(loss=float(\"nan\"), epochs=3)'"});
  EXPECT_EQ(Log(), "");
  EXPECT_THAT(ReadAll(directory_ / "results"),
              AnyOf("{\"epochs\":3,\"loss\":\"nan\"}\n", "{\"loss\":\"nan\",\"epochs\":3}\n"));
}

TEST_F(RunnerTest, AnnouncesBuildStepsAndSaysWhichFailed) {
  for (const char* command : {"echo working", "exit 100"}) {
    plan_.add_build_steps()->set_command(command);
    plan_.mutable_build_steps(plan_.build_steps_size() - 1)->set_title(std::string("apt-get ") + command);
  }
  const auto ended = Run({"echo never"});
  EXPECT_EQ(ended.message(), "Step 2/2 `apt-get exit 100` return code: 100");
  EXPECT_THAT(Log(),
              StartsWith("==> Step 1/2: apt-get echo working\nworking\n==> Step 2/2: apt-get exit 100\n"
                         "==> Step 2/2 failed with exit code 100: apt-get exit 100\n==> apt-get cannot install"));
}

TEST_F(RunnerTest, AStepOfTheProductSaysInTheMessageWhyItFailed) {
  plan_.add_build_steps()->set_command("echo of the step before");
  internal::v1::BuildStep& step = *plan_.add_build_steps();
  step.set_title("seal environment");
  step.set_command("echo began; echo 'sh: cannot create x: No space left on device' >&2; exit 1");
  step.set_explains_failure(true);
  EXPECT_EQ(Run({}).message(), "seal environment: sh: cannot create x: No space left on device");
}

TEST_F(RunnerTest, AStepOfTheProductThatPrintedNothingSaysNothingOfAnotherOne) {
  plan_.add_build_steps()->set_command("echo of the step before");
  internal::v1::BuildStep& step = *plan_.add_build_steps();
  step.set_title("seal environment");
  step.set_command("exit 1");
  step.set_explains_failure(true);
  EXPECT_EQ(Run({}).message(), "Step 2/2 `seal environment` return code: 1");
}

TEST_F(RunnerTest, AnnouncesOnALineOfItsOwn) {
  for (const char* command : {"printf unfinished", "true"}) plan_.add_build_steps()->set_command(command);
  Run({"true"});
  EXPECT_EQ(Log(), "==> Step 1/2: \nunfinished\n==> Step 2/2: \n");
}

// Case 11: a data loader must not die before the trainer.

TEST_F(RunnerTest, StopTellsTheProgramInFrontFirst) {
  WriteAll(directory_ / "train.py",
           "import os, signal, subprocess, sys\n"
           "loader = subprocess.Popen(['sh', '-c', 'trap \"echo loader told; exit 9\" TERM; while :; do sleep 0.01; "
           "done'])\n"
           "def stop(*_):\n    print('saved', loader.poll(), flush=True)\n    sys.exit(0)\n"
           "signal.signal(signal.SIGTERM, stop)\nopen(os.environ['DIR'] + '/here', 'w')\n"
           "while True: signal.pause()\n");
  Start({"/usr/bin/python3 train.py | cat\necho never"});
  WaitForFile("here");
  process_->Signal(SIGTERM);
  EXPECT_EQ(Wait().event(), Observation::STOPPED);
  EXPECT_THAT(Log(), StartsWith("saved None\n"));
  EXPECT_THAT(Log(), Not(HasSubstr("never")));
}

// Case 16: what is forked between a look at the tree and the delivery of signals is told as well.

TEST_F(RunnerTest, StopReachesWhatIsJustBeingForked) {
  plan_.mutable_grace()->set_seconds(600);
  Start({"i=0; while [ $i -lt 500 ]; do sleep 1000 & i=$((i+1)); [ $i != 50 ] || touch $DIR/here; done; wait"});
  WaitForFile("here");
  process_->Signal(SIGTERM);
  EXPECT_EQ(Wait().event(), Observation::STOPPED);
}

TEST_F(RunnerTest, AScriptWithATrapIsToldWhenItsProgramHasEnded) {
  WriteAll(directory_ / "job.sh", "trap 'echo cleaned up; exit 6' TERM\ntouch $DIR/here\nsleep 1000\necho never\n");
  Start({"sh job.sh"});
  WaitForFile("here");
  process_->Signal(SIGTERM);
  EXPECT_EQ(Wait().event(), Observation::STOPPED);
  EXPECT_THAT(Log(), HasSubstr("cleaned up\n"));
  EXPECT_THAT(Log(), Not(HasSubstr("never")));
}

TEST_F(RunnerTest, NobodyCanTruncateTheLogByItsName) {
  Run({"echo one; : > /dev/stdout; echo two > /proc/self/fd/1; : > /dev/fd/2"});
  EXPECT_EQ(Log(), "one\ntwo\n");
}

// Case 21.

TEST_F(RunnerTest, OutputUnderEveryNameIsInOrder) {
  Run({"for i in {1..300}; do echo a$i; echo b$i > /dev/stderr; echo c$i >&2; echo d$i > /dev/fd/1; done"});
  std::string expected;
  for (int i = 1; i <= 300; ++i) absl::StrAppend(&expected, "a", i, "\nb", i, "\nc", i, "\nd", i, "\n");
  EXPECT_EQ(Log(), expected);
}

TEST_F(RunnerTest, SaysWhatToWriteInstead) {
  WriteAll(directory_ / "run.sh", "#!/bin/sh\r\necho\r\n");
  std::filesystem::permissions(directory_ / "run.sh", std::filesystem::perms::owner_all);
  EXPECT_THAT(Run({"./run.sh"}).message(), HasSubstr("./run.sh has the line endings of Windows: run `sed -i"));
}

TEST_F(RunnerTest, SurvivesADirectoryWithALongPath) {
  const std::string longer = directory_ / std::string(150, 'x');
  ASSERT_TRUE(MakeDirectories(longer).ok());
  plan_.add_commands("true");
  WriteAll(longer + "/run.pb", plan_.SerializeAsString());
  ChildProcess run({RISEML_JOB, "run", "--dir", longer}, {}, directory_ / "own.log");
  EXPECT_EQ(run.Wait(), 0) << ReadAll(directory_ / "own.log");
  EXPECT_TRUE(ReadJournal(longer + "/journal")->ended.has_value());
}

TEST_F(RunnerTest, SaysThatItsPlanIsDamaged) {
  WriteAll(directory_ / "run.pb", "\xff\xff");
  ChildProcess run({RISEML_JOB, "run", "--dir", directory_.path()}, {}, directory_ / "own.log");
  EXPECT_EQ(WEXITSTATUS(run.Wait()), 1);
  EXPECT_THAT(ReadAll(directory_ / "own.log"), HasSubstr("run.pb is damaged"));
}

}  // namespace
}  // namespace riseml::agent
