// Commands in the shell of `riseml-job run`: state that carries over, lines that fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/agent/run/runner_fixture.h"

namespace riseml::agent {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace riseml::agent::testing;

TEST_F(RunnerTest, CarriesOverWhatOneShellCarriesOver) {
  const auto ended = Run({"export SEED=42; plain=1; list=(a 'b c'); say() { echo \"said $1\"; }",
                          "mkdir -p src && cd src", "echo \"$SEED $plain ${list[1]} $(basename \"$PWD\")\"; say it"});
  EXPECT_EQ(ended.exit_code(), 0) << ended.message();
  EXPECT_EQ(Log(), "42 1 b c src\nsaid it\n");
}

TEST_F(RunnerTest, AnItemMayEndItsShellAndTheNextGoesOnWithItsState) {
  const auto ended = Run({"export A='x y'; f() { echo \"f $A\"; }; mkdir d; cd d; B=(1 2); exit 0; echo never",
                          "f; echo ${B[1]} $(basename $PWD); C=kept; exec sh -c 'echo replaced $A'",
                          "f; trap 'echo bye' EXIT", "echo last $A ${C-}"});
  EXPECT_EQ(ended.exit_code(), 0) << ended.message();
  EXPECT_EQ(Log(), "f x y\n2 d\nreplaced x y\nf x y\nlast x y\nbye\n");
}

TEST_F(RunnerTest, FunctionsOfTheProjectDoNotGetInTheWay) {
  const auto ended = Run({"for f in cd set read printf trap exit return; do eval \"$f() { echo wrong; false; }\"; done",
                          "builtin cd /; builtin exit 0", "pwd"});
  EXPECT_EQ(ended.exit_code(), 0) << ended.message();
  EXPECT_EQ(Log(), "/\n");
}

TEST_F(RunnerTest, ABlockStopsAtItsFirstFailingLineAndNamesIt) {
  const auto ended = Run({"echo begin\n# comment\nif true; then\n  sh -c 'exit 5'\nfi\necho never\n"});
  EXPECT_EQ(Log(), "begin\n");
  EXPECT_EQ(ended.exit_code(), 5);
  EXPECT_EQ(ended.message(), "Command `echo begin …` return code: 5 (line 4: `sh -c 'exit 5'`)");
}

TEST_F(RunnerTest, TheLeftSideOfAPipeCounts) {
  const auto ended = Run({"set -u\nsh -c 'echo x; exit 3' 2>&1 | tee $DIR/tee.log\necho never"});
  EXPECT_EQ(Log(), "x\n");
  EXPECT_EQ(ended.message(),
            "Command `set -u …` return code: 3 (line 2: `sh -c 'echo x; exit 3' 2>&1 | tee $DIR/tee.log`)");
}

TEST_F(RunnerTest, AFailureInAFunctionNamesTheLineOfTheItem) {
  EXPECT_THAT(Run({"f() {\n  true\n  false\n}\nf\n"}).message(), EndsWith("return code: 1 (line 3: `false`)"));
}

TEST_F(RunnerTest, AFailureInAFunctionOfAnEarlierItemNamesTheCall) {
  EXPECT_THAT(Run({"f() {\n  false\n}", "true\nf\n"}).message(), EndsWith("return code: 1 (line 2: `f`)"));
}

TEST_F(RunnerTest, SetPlusEOptsOutForItsBlockOnly) {
  const auto ended = Run({"set +e\nfalse\necho on", "set +e; true", "false\necho never"});
  EXPECT_EQ(Log(), "on\n");
  EXPECT_EQ(ended.message(), "Command `false …` return code: 1 (line 1)");
}

TEST_F(RunnerTest, TheLastCodeOfABlockCountsEvenWithSetPlusE) {
  EXPECT_EQ(Run({"set +e\nsh -c 'exit 4'", "echo never"}).exit_code(), 4);
  EXPECT_EQ(Log(), "");
}

TEST_F(RunnerTest, AnExplicitExitNamesItsLine) {
  EXPECT_THAT(Run({"echo a\nif true; then\n  exit 9\nfi"}).message(), EndsWith("return code: 9 (line 3: `exit 9`)"));
}

TEST_F(RunnerTest, BadSyntaxIsReportedWithItsLine) {
  const auto ended = Run({"echo fine", "echo a\n\necho \"open\n"});
  EXPECT_EQ(ended.exit_code(), 2);
  EXPECT_THAT(ended.message(), EndsWith("return code: 2 (line 3: `echo \"open`)"));
  EXPECT_THAT(Log(), HasSubstr("commands/2: line 3:"));
}

TEST_F(RunnerTest, RunsHereDocumentsAndCommandsOf128KiB) {
  const auto ended = Run({"cat <<'EOF'\n$x\nEOF", absl::StrCat("x='", std::string(300 << 10, 'y'), "'\necho ${#x}")});
  EXPECT_EQ(ended.exit_code(), 0) << ended.message();
  EXPECT_EQ(Log(), "$x\n307200\n");
}

TEST_F(RunnerTest, TracingShowsTheCommandsOnly) {
  Run({"set -x", "echo traced"});
  EXPECT_THAT(Log(), EndsWith("+ echo traced\ntraced\n"));
  EXPECT_THAT(Log(), Not(HasSubstr("__riseml")));
}

TEST_F(RunnerTest, WithoutBashAPosixShellDoesTheSame) {
  plan_.set_shell("/bin/sh");
  const auto ended = Run(
      {"A='x y'; export E=1; mkdir d; cd d; exit 0", "echo \"$A $E $(basename $PWD)\"", "echo $A\nfalse\necho never"});
  EXPECT_EQ(Log(), "x y 1 d\nx y\n");
  EXPECT_EQ(ended.message(), "Command `echo $A …` return code: 1");
}

TEST_F(RunnerTest, TheDirectoryOfEachItemThatExitsCarriesOver) {
  Run({"mkdir -p a/b; cd a; exit 0", "cd b; exit 0", "basename $PWD"});
  EXPECT_EQ(Log(), "b\n");
}

TEST_F(RunnerTest, InstallStepsShareAShellButNotWithTheCommands) {
  for (const char* command : {"V=1; cd /", "echo v=$V $PWD"}) plan_.add_build_steps()->set_command(command);
  Run({"echo v=${V-} $PWD"});
  EXPECT_EQ(Log(), absl::StrCat("==> Step 1/2: \n==> Step 2/2: \nv=1 /\nv= ", directory_.path(), "\n"));
}

TEST_F(RunnerTest, AKilledShellEndsTheAttempt) {
  const auto ended = Run({"kill -9 $$", "echo never"});
  EXPECT_EQ(ended.exit_code(), 128 + SIGKILL);
  EXPECT_EQ(Log(), "");
}

}  // namespace
}  // namespace riseml::agent
