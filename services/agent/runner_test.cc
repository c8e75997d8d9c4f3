// `riseml-agent run` as a process, with a directory made by hand and no sandbox.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/agent/journal.h"
#include "services/agent/process.h"
#include "services/agent/testing.h"

namespace riseml::agent {
namespace {

using internal::v1::Observation;
using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace riseml::agent::testing;

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() {
    (*plan_.mutable_environment())["PATH"] = "/usr/bin:/bin";
    (*plan_.mutable_environment())["DIR"] = directory_.path();
    plan_.set_work_dir(directory_.path());
    plan_.set_grace_seconds(60);
  }

  void Start(const std::vector<std::string>& commands) {
    for (const std::string& command : commands) plan_.add_commands(command);
    WriteAll(directory_ / "run.pb", plan_.SerializeAsString());
    process_ = std::make_unique<ChildProcess>(std::vector<std::string>{RISEML_AGENT, "run", "--dir", directory_.path()},
                                              std::vector<std::string>{"LEAKED=1"}, directory_ / "own.log");
  }
  internal::v1::AttemptEnded Wait() {
    EXPECT_EQ(process_->Wait(), 0) << ReadAll(directory_ / "own.log");
    const auto journal = ReadJournal(directory_ / "journal");
    EXPECT_TRUE(journal.ok() && journal->started && journal->ended);
    return journal.ok() && journal->ended ? *journal->ended : internal::v1::AttemptEnded();
  }
  internal::v1::AttemptEnded Run(const std::vector<std::string>& commands) {
    Start(commands);
    const internal::v1::AttemptEnded ended = Wait();
    EXPECT_EQ(ended.final_offset(), static_cast<std::int64_t>(Log().size()));
    return ended;
  }
  std::string Log() const { return ReadAll(directory_ / "log"); }
  void WaitForFile(const std::string& name) {
    ASSERT_TRUE(Eventually([&] { return FileExists(directory_ / name); })) << ReadAll(directory_ / "own.log");
  }
  // True when the process whose pid a command wrote to a file is gone.
  bool IsGone(const std::string& file) {
    int pid = 0;
    EXPECT_TRUE(absl::SimpleAtoi(ReadAll(directory_ / file), &pid));
    const auto stat = ReadProcessStat(pid);
    return !stat.ok() || stat->state == 'Z';
  }
  UniqueFd Connect() {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory_ / "socket";
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  static std::string Ask(const UniqueFd& fd, const std::string& text) {
    EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    std::string answer;
    char c = 0;
    while (read(fd.get(), &c, 1) == 1 && c != '\n') answer.push_back(c);
    return answer;
  }

  TemporaryDirectory directory_;
  internal::v1::RunPlan plan_;
  std::unique_ptr<ChildProcess> process_;
};

TEST_F(RunnerTest, RunsCommandsInOrderWithTheGivenEnvironmentOnly) {
  const auto ended = Run({"echo out; echo err >&2; env | grep -v -e PWD -e '^_=' | sort", "pwd; cat"});
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
  EXPECT_THAT(Log(), EndsWith("shell\n"));
}

TEST_F(RunnerTest, KillsWhatIgnoresTermAfterTheGracePeriod) {
  plan_.set_grace_seconds(1);
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
  plan_.set_max_run_seconds(1);
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

TEST_F(RunnerTest, RunsOnlyOnce) {
  Run({"echo once"});
  ChildProcess again({RISEML_AGENT, "run", "--dir", directory_.path()}, {}, directory_ / "own.log");
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
  for (int i = 0; i < 15; ++i) idle.push_back(Connect());
  EXPECT_EQ(Ask(client, "{\"results\": {\"last\": 1}}\n"), "{\"ok\":true}");
  WriteAll(directory_ / "go", "");
  Wait();
  EXPECT_EQ(ReadAll(directory_ / "results"), "{\"name\":\"a\\nb\"}\n{\"good\":true}\n{\"last\":1}\n");
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

TEST_F(RunnerTest, SurvivesADirectoryWithALongPath) {
  const std::string longer = directory_ / std::string(150, 'x');
  ASSERT_TRUE(MakeDirectories(longer).ok());
  plan_.add_commands("true");
  WriteAll(longer + "/run.pb", plan_.SerializeAsString());
  ChildProcess run({RISEML_AGENT, "run", "--dir", longer}, {}, directory_ / "own.log");
  EXPECT_EQ(run.Wait(), 0) << ReadAll(directory_ / "own.log");
  EXPECT_TRUE(ReadJournal(longer + "/journal")->ended.has_value());
}

TEST_F(RunnerTest, SaysThatItsPlanIsDamaged) {
  WriteAll(directory_ / "run.pb", "\xff\xff");
  ChildProcess run({RISEML_AGENT, "run", "--dir", directory_.path()}, {}, directory_ / "own.log");
  EXPECT_EQ(WEXITSTATUS(run.Wait()), 1);
  EXPECT_THAT(ReadAll(directory_ / "own.log"), HasSubstr("run.pb is damaged"));
}

}  // namespace
}  // namespace riseml::agent
