// The pure parts of running commands: the shell's driver, who is told to stop, what a failure's message advises.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/agent/shell/failure_hint.h"
#include "services/agent/shell/shell_driver.h"
#include "services/agent/shell/stop_plan.h"

namespace riseml::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

TEST(MayBeForAnotherPython, ReadsTheLastWords) {
  for (const char* output :
       {"  File \"a.py\", line 3\n    match x:\n          ^\nSyntaxError: invalid syntax\n",
        "ERROR: Package 'x' requires a different Python: 3.11.2 not in '>=3.12'\n",
        "ERROR: No matching distribution found for tensorflow==1.15\n",
        "Traceback (most recent call last):\nModuleNotFoundError: No module named 'distutils'\n",
        "ImportError: cannot import name 'override' from 'typing' (/usr/lib/python3.11/typing.py)\n",
        "AttributeError: module 'collections' has no attribute 'Mapping'\n",
        "/c/1: line 1: python3.12: command not found\n"})
    EXPECT_TRUE(MayBeForAnotherPython(output)) << output;
  for (const char* output :
       {"", "FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'\n",
        "Traceback (most recent call last):\nValueError: x\n", "ModuleNotFoundError: No module named 'numpy'\n",
        "ImportError: cannot import name 'a' from 'b' (/env/lib/python3.11/site-packages/b.py)\n",
        "SyntaxError: old\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\nTraceback (most recent call last):\nKeyError: 1\n"})
    EXPECT_FALSE(MayBeForAnotherPython(output)) << output;
}

TEST(ShellReport, IsParsedStrictly) {
  EXPECT_EQ(ParseShellReport("begin 3")->number, 3);
  const auto failed = ParseShellReport("failed 2 127");
  EXPECT_EQ(failed->kind, ShellReport::Kind::kFailed);
  EXPECT_EQ(failed->number, 2);
  EXPECT_EQ(failed->status, 127);
  for (const char* bad : {"", "begin", "begin x", "begin -1", "begin 1 2", "failed 1", "failed 1 x", "other 1 2"})
    EXPECT_FALSE(ParseShellReport(bad).has_value()) << bad;
}

TEST(ShellDriver, QuotesItsDirectory) {
  EXPECT_THAT(DriverScript({.directory = "/a b/it's"}), HasSubstr(R"(__riseml_files='/a b/it'\''s')"));
  EXPECT_THAT(DriverScript({.kind = ShellKind::kPosix, .directory = "/d", .last = 2}), Not(HasSubstr("builtin")));
}

TEST(ShellDriver, FindsLinesOfFailures) {
  EXPECT_EQ(LineOfSyntaxError("/c/1: line 3: unexpected EOF while looking for matching `\"'\n"), 3);
  EXPECT_EQ(LineOfSyntaxError("/c/1: line 12: syntax error near unexpected token `fi'\n"), 12);
  EXPECT_EQ(LineOfSyntaxError("/c/1: line 3: warning: here-document\n"), 0);
  EXPECT_EQ(LineOfExit("a\nexit 30\nb || exit 3\n", 3), 3);
  EXPECT_EQ(LineOfExit("exit 3\nexit 3", 3), 0);
  EXPECT_EQ(LineOfExit("false", 3), 0);
}

// A tree of processes: `run` is 1.
class StopPlanTest : public ::testing::Test {
 protected:
  void Add(pid_t pid, pid_t parent, ProcessDetail detail = {}) {
    family_.push_back({.pid = pid, .parent = parent, .state = 'S', .start_ticks = pid});
    details_[pid] = std::move(detail);
  }
  void End(pid_t pid) {
    std::erase_if(family_, [pid](const ProcessStat& process) { return process.pid == pid; });
    for (ProcessStat& process : family_)
      if (process.parent == pid) process.parent = 1;
  }
  std::vector<StopSignal> Next(double seconds) {
    return plan_.Next({.root = 1,
                       .main = 2,
                       .family = family_,
                       .inspect = [this](const ProcessStat& process) { return details_[process.pid]; }},
                      absl::UnixEpoch() + absl::Seconds(seconds));
  }

  const ProcessDetail shell_{.command = "bash", .shell = true};
  std::vector<ProcessStat> family_;
  std::map<pid_t, ProcessDetail> details_;
  StopPlan plan_{absl::UnixEpoch(), absl::Seconds(10)};
};

TEST_F(StopPlanTest, TheProgramInFrontGetsItAloneAndTheShellWaitsHalted) {
  Add(2, 1, shell_);
  Add(3, 2);
  Add(4, 3);  // its data loader
  EXPECT_THAT(Next(0), ElementsAre(StopSignal{2, SIGSTOP}, StopSignal{3, SIGTERM}));
  EXPECT_THAT(Next(1), IsEmpty());
  End(3);
  EXPECT_THAT(Next(2), ElementsAre(StopSignal{2, SIGTERM}, StopSignal{2, SIGCONT}));
  End(2);
  EXPECT_THAT(Next(2.1), IsEmpty());
  EXPECT_THAT(Next(2.5), ElementsAre(StopSignal{4, SIGTERM}));
  EXPECT_THAT(Next(3), IsEmpty());
}

TEST_F(StopPlanTest, AllGetItWhenMostOfTheGracePeriodIsOver) {
  Add(2, 1, shell_);
  Add(3, 2);
  Add(4, 3);
  Next(0);
  EXPECT_THAT(Next(7.9), IsEmpty());
  EXPECT_THAT(Next(8.1), UnorderedElementsAre(StopSignal{2, SIGTERM}, StopSignal{2, SIGCONT}, StopSignal{4, SIGTERM}));
  EXPECT_THAT(Next(8.2), IsEmpty());
  Add(5, 3);  // forked meanwhile
  EXPECT_THAT(Next(8.3), ElementsAre(StopSignal{5, SIGTERM}));
}

TEST_F(StopPlanTest, TheFirstOfAPipeGetsItAndTheNextOnlyIfItDoesNotEndByItself) {
  Add(2, 1, shell_);
  Add(3, 2, {.standard_output = "pipe:[7]"});
  Add(4, 2, {.standard_input = "pipe:[7]"});
  EXPECT_THAT(Next(0), ElementsAre(StopSignal{2, SIGSTOP}, StopSignal{3, SIGTERM}));
  End(3);
  EXPECT_THAT(Next(0.1), IsEmpty());
  EXPECT_THAT(Next(0.5), ElementsAre(StopSignal{4, SIGTERM}));
}

TEST_F(StopPlanTest, AShellThatWaitsForBackgroundJobsGetsItAndTheyALittleLater) {
  Add(2, 1, shell_);
  Add(3, 2, {.background = true});
  EXPECT_THAT(Next(0), ElementsAre(StopSignal{2, SIGTERM}));
  EXPECT_THAT(Next(0.5), IsEmpty());
  EXPECT_THAT(Next(1.5), ElementsAre(StopSignal{3, SIGTERM}));
}

TEST_F(StopPlanTest, WhatATrapStartsIsLeftAlone) {
  Add(2, 1, shell_);
  EXPECT_THAT(Next(0), ElementsAre(StopSignal{2, SIGTERM}));
  Add(3, 2);
  EXPECT_THAT(Next(2), IsEmpty());
}

TEST_F(StopPlanTest, ACopyOfTheShellThatBecomesAProgramGetsItAgain) {
  Add(2, 1, shell_);
  Add(3, 2, {.command = "bash", .shell = true, .copy_of_parent = true});
  EXPECT_THAT(Next(0), ElementsAre(StopSignal{2, SIGSTOP}, StopSignal{3, SIGTERM}));
  EXPECT_THAT(Next(0.1), IsEmpty());
  details_[3] = {.command = "python"};
  EXPECT_THAT(Next(0.2), ElementsAre(StopSignal{3, SIGTERM}));
  EXPECT_THAT(Next(0.3), IsEmpty());
}

TEST_F(StopPlanTest, AProgramThatReplacedTheShellIsInFront) {
  Add(2, 1);
  Add(3, 2);
  EXPECT_THAT(Next(0), ElementsAre(StopSignal{2, SIGTERM}));
}

TEST(Hint, InstallingPackagesInARunCommandBelongsUnderInstall) {  // case 19
  EXPECT_EQ(
      HintAt({.line = "pip install six", .output = "error: externally-managed-environment\n", .exit_code = 1}),
      "Packages cannot be installed while a job runs, its environment is read-only: write `pip install six` under "
      "`install:` instead");
  EXPECT_THAT(HintAt({.line = "uv pip install x", .output = "Read-only file system (os error 30)", .exit_code = 2}),
              HasSubstr("under `install:`"));
  EXPECT_EQ(HintAt({.line = "pip install no-such", .output = "No matching distribution found", .exit_code = 1}), "");
  EXPECT_EQ(HintAt({.line = "pip install six", .output = "externally-managed-environment", .exit_code = 0}), "");
}

TEST(Hint, NamesProgramsThatAreMissing) {
  EXPECT_THAT(HintAt({.line = "foo a", .output = "/c/1: line 1: foo: command not found\n", .exit_code = 127}),
              HasSubstr("no program `foo` in the job"));
  EXPECT_THAT(HintAt({.line = "foo a", .output = "/bin/sh: 1: foo: not found\n", .exit_code = 127}),
              HasSubstr("`foo`"));
  EXPECT_THAT(HintAt({.line = "./a.sh", .output = "/c/1: line 1: ./a.sh: No such file or directory", .exit_code = 127}),
              HasSubstr("./a.sh does not exist in the job"));
}

TEST(Hint, SaysHowToRunAScript) {
  ScriptFacts script{.name = "./train.py", .start = "import os\n"};
  const auto hint = [&script](int code) {
    return HintAt({.line = "./train.py --lr 1", .output = "", .exit_code = code, .script = script});
  };
  EXPECT_THAT(hint(126), HasSubstr("run `chmod +x ./train.py` in your project and train again, or write `python"));
  script.executable = true;
  EXPECT_THAT(hint(2), HasSubstr("has no first line such as `#!/usr/bin/env python3`"));
  script.start = "#!/opt/python\n";
  script.interpreter_exists = false;
  EXPECT_THAT(hint(127), HasSubstr("The interpreter that the first line of ./train.py names is not installed"));
  script.start = "#!/usr/bin/env python3\r\n";
  EXPECT_THAT(hint(127), HasSubstr("./train.py has the line endings of Windows"));
  script.interpreter_exists = true;
  script.start = "#!/usr/bin/env python3\n";
  EXPECT_EQ(hint(1), "");
}

TEST(Hint, ExplainsABrokenPipe) {
  EXPECT_THAT(HintAt({.line = "yes | head -1", .output = "", .exit_code = 141}), HasSubstr("`|| true`"));
}

TEST(Hint, NamesTheVariableThatHelps) {
  EXPECT_THAT(
      HintAt({.line = "python serve.py", .output = "OSError: [Errno 98] Address already in use\n", .exit_code = 1}),
      HasSubstr("write $PORT for a server"));
  EXPECT_THAT(HintAt({.line = "git rev-parse HEAD",
                      .output = "fatal: not a git repository (or any of the parent directories): .git\n",
                      .exit_code = 128}),
              HasSubstr("$RISEML_GIT_COMMIT"));
}

TEST(Hint, SaysWhatNoStepCanInstall) {
  const auto missing = [](const std::string& program) {
    const std::string said = absl::StrCat("sh: 1: ", program, ": not found\n");
    return HintAt({.line = program, .output = said, .exit_code = 127});
  };
  EXPECT_THAT(missing("sudo"), HasSubstr("remove `sudo`"));
  EXPECT_THAT(missing("nvidia-smi"), HasSubstr("no NVIDIA driver"));
  EXPECT_THAT(missing("make"), HasSubstr("install it under `install:`"));
  EXPECT_THAT(HintAt({.line = "apt-get update",
                      .output = "E: List directory /var/lib/apt/lists/partial is missing.\n",
                      .exit_code = 100}),
              HasSubstr("Jobs cannot install system packages"));
}

TEST(Hint, NamesThePartThatInstalls) {
  const std::string refused = "error: externally-managed-environment\n";
  EXPECT_THAT(HintAt({.line = "pip -q install six && python train.py", .output = refused, .exit_code = 1}),
              HasSubstr("write `pip -q install six` under `install:`"));
  EXPECT_THAT(HintAt({.line = "bash setup.sh", .output = refused, .exit_code = 1}),
              HasSubstr("put the command that installs them under `install:`"));
  EXPECT_THAT(HintAt({.line = "pip install --user six",
                      .output = "ERROR: Can not perform a '--user' install. User site-packages are not visible\n",
                      .exit_code = 1}),
              HasSubstr("without --user under `install:`"));
  EXPECT_THAT(
      HintAt({.line = "apt-get install -y foo", .output = "E: Could not open lock file /x\n", .exit_code = 100}),
      HasSubstr("Jobs cannot install system packages"));
  EXPECT_THAT(HintAt({.line = "uv pip install six", .output = "line 1: uv: command not found\n", .exit_code = 127}),
              HasSubstr("where the packages that it installs belong too"));
}

TEST(Hint, SaysWhereToWriteInsteadOfTheData) {
  EXPECT_THAT(HintAt({.line = "touch /data/x",
                      .output = "touch: cannot touch '/data/x': Read-only file system\n",
                      .exit_code = 1}),
              HasSubstr("$RISEML_SHARED_DIR"));
}

TEST(Hint, SaysThatTheDiskWasFull) {
  const auto hint = [](const std::string& output) {
    return HintAt({.line = "python train.py", .output = output, .exit_code = 1});
  };
  EXPECT_THAT(hint("Traceback (most recent call last):\n  File \"t.py\"\nOSError: [Errno 28] No space left on device: "
                   "'/output/model.pt'\n"),
              HasSubstr("The disk is full: delete experiments"));
  EXPECT_THAT(hint("cp: error writing '/output/a': No space left on device\n"), HasSubstr("riseml rm ID"));
  EXPECT_THAT(hint("RuntimeError: unable to write to file </torch_2_3_0>: No space left on device (28)\n"),
              HasSubstr("Shared memory is full"));
}

TEST(Hint, IsAboutWhatEndedTheCommand) {
  const std::string caught = "fatal: not a git repository (or any of the parent directories): .git\n";
  EXPECT_THAT(HintAt({.line = "bash train.sh",
                      .output = caught + "Traceback (most recent call last):\n  File \"t.py\"\n"
                                         "subprocess.CalledProcessError: Command '['git', 'rev-parse']' returned 128\n",
                      .exit_code = 1}),
              HasSubstr("$RISEML_GIT_COMMIT"));
  EXPECT_EQ(HintAt({.line = "bash train.sh",
                    .output = caught + "Traceback (most recent call last):\n  File \"t.py\"\nValueError: boom\n",
                    .exit_code = 1}),
            "");
  std::string later;
  for (int i = 0; i < 12; ++i) absl::StrAppend(&later, "epoch ", i, "\n");
  EXPECT_EQ(HintAt({.line = "bash train.sh", .output = caught + later, .exit_code = 1}), "");
  EXPECT_THAT(HintAt({.line = "bash train.sh", .output = later + caught, .exit_code = 128}),
              HasSubstr("$RISEML_GIT_COMMIT"));
}

TEST(Hint, NamesAMissingModule) {
  EXPECT_THAT(HintAt({.line = "python -m pkg.train",
                      .output = "Traceback (most recent call last):\n  File \"t.py\", line 1, in <module>\n"
                                "ModuleNotFoundError: No module named 'numpy'\n",
                      .exit_code = 1}),
              HasSubstr("Python finds no module `numpy`: install its package under `install:`"));
  EXPECT_THAT(HintAt({.line = "python -m pkg", .output = "/usr/bin/python: No module named pkg\n", .exit_code = 1}),
              HasSubstr("no module `pkg`"));
}

TEST(Hint, FindsTheScriptOfALine) {
  EXPECT_EQ(ScriptOf("A=1 ./x.sh --y"), "./x.sh");
  EXPECT_EQ(ScriptOf("bash -e scripts/x.sh y"), "scripts/x.sh");
  EXPECT_EQ(ScriptOf(". env.sh"), "env.sh");
  EXPECT_EQ(ScriptOf("python train.py"), "");
  EXPECT_EQ(ScriptOf(""), "");
}

}  // namespace
}  // namespace riseml::agent
