// `riseml-job run` builds environments whose first steps an earlier build has kept; without a sandbox.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/agent/attempt/journal.h"
#include "services/agent/run/kept_steps.h"
#include "services/agent/testing.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace riseml::agent::testing;
namespace fs = std::filesystem;

const std::string kFirst(64, '1'), kSecond(64, '2');

struct BuildStepText {
  std::string command;
  char key = '0';  // of which the prefix key consists
};

class StepReuseTest : public ::testing::Test {
 protected:
  // Builds the environment `key` in the same directories as builds before. Returns the exit code.
  int Build(const std::string& key, const std::vector<BuildStepText>& steps) {
    ++builds_;
    internal::v1::RunPlan plan;
    plan.set_role("build");
    plan.set_shell(shell_);
    plan.set_work_dir(directory_ / "code");
    plan.mutable_grace()->set_seconds(60);
    for (const BuildStepText& step : steps) {
      internal::v1::BuildStep& added = *plan.add_build_steps();
      added.set_title("do");
      added.set_command(step.command);
      added.set_prefix_key(std::string(64, step.key));
      added.set_anew(anew_);
    }
    plan.mutable_build_steps(0)->set_reuse_command(reuse_command_);
    auto& variables = *plan.mutable_environment();
    variables["PATH"] = "/usr/bin:/bin";
    variables["HOME"] = directory_ / "tmp/home";
    variables["ENV"] = Environment(key);
    variables["RISEML_JOB"] = absl::StrCat(builds_, ".build");
    internal::v1::StepReuse& reuse = *plan.mutable_step_reuse();
    reuse.set_directory(Steps());
    reuse.set_environment(Environment(key));
    reuse.set_temporary(directory_ / temporary_);
    reuse.set_bytes_limit(bytes_limit_);
    reuse.mutable_max_age()->set_seconds(3600);

    const std::string attempt = directory_ / absl::StrCat("attempt", builds_);
    for (const char* name : {"code", "tmp"}) EXPECT_TRUE(RemoveTree(directory_ / name).ok());
    for (const std::string& path : {attempt, directory_ / "code/sub", directory_ / "tmp/home", Environment(key)})
      EXPECT_TRUE(MakeDirectories(path).ok());
    for (const auto& [name, text] : files_) WriteAll(directory_ / ("code/" + name), text);
    WriteAll(attempt + "/run.pb", plan.SerializeAsString());
    ChildProcess run({RISEML_JOB, "run", "--dir", attempt}, {}, attempt + "/own.log");
    if (while_running_) while_running_(run);
    EXPECT_EQ(run.Wait(), 0) << ReadAll(attempt + "/own.log");
    log_ = ReadAll(attempt + "/log");
    const auto journal = ReadJournal(attempt + "/journal");
    EXPECT_TRUE(journal.ok() && journal->ended);
    if (!journal.ok() || !journal->ended) return -1;
    reason_ = journal->ended->reason();
    return journal->ended->exit_code();
  }
  std::string Environment(const std::string& key) const { return directory_ / ("user/" + key); }
  std::string Steps() const { return directory_ / "user/steps"; }
  std::string Home(const std::string& name) const { return ReadAll(directory_ / ("tmp/home/" + name)); }
  bool IsKept(char key) const { return HasKeptSteps(Steps(), std::string(64, key)); }

  // Two steps that leave something everywhere.
  const BuildStepText one_ = {
      "echo ran one; mkdir -p $ENV/bin; echo \"#!$ENV/bin/python\" > $ENV/bin/tool\n"
      "ln -s $ENV/bin/tool tool; echo one >> $HOME/count; echo x > $HOME/../scratch",
      'a'};
  const BuildStepText two_ = {
      "echo ran two; echo two >> $HOME/count; export X=5 \"Y=a 'b'\"; f() { echo called; }\n"
      "cd sub; echo made > made.txt",
      'b'};
  const BuildStepText three_ = {"f; echo \"$X $Y $PWD $RISEML_JOB $ENV\"; cat $HOME/count $HOME/../scratch", 'c'};

  TemporaryDirectory directory_;
  std::map<std::string, std::string> files_ = {{"train.py", "print()"}};
  std::int64_t bytes_limit_ = 1 << 30;
  bool anew_ = false;
  std::string temporary_ = "tmp";
  std::string shell_ = "/bin/bash";
  std::string reuse_command_ = "echo decided by";
  std::function<void(ChildProcess&)> while_running_;
  int builds_ = 0;
  std::string log_;     // of the last build
  std::string reason_;  // of its end
};

TEST_F(StepReuseTest, AFailedStepRunsAgainAfterWhatTheOthersMade) {
  EXPECT_EQ(Build(kFirst, {one_, two_, {"echo half > $ENV/half; exit 7", 'x'}}), 7);
  EXPECT_THAT(log_, HasSubstr("==> Step 1 of 3 is kept for later builds ("));
  EXPECT_THAT(log_, HasSubstr("==> Steps 1-2 of 3 are kept for later builds ("));
  ASSERT_TRUE(RemoveTree(Environment(kFirst)).ok());

  EXPECT_EQ(Build(kSecond, {one_, two_, three_}), 0) << log_;
  EXPECT_THAT(log_, StartsWith("==> Steps 1-2 of 3 are reused: built by 1.build\ndecided by\n==> Step 3/3: do\n"));
  EXPECT_THAT(log_, HasSubstr(absl::StrCat("called\n5 a 'b' ", directory_ / "code/sub", " 2.build ",
                                           Environment(kSecond), "\none\ntwo\nx\n")));
  EXPECT_THAT(log_, Not(HasSubstr("ran ")));
  EXPECT_EQ(ReadAll(Environment(kSecond) + "/bin/tool"), absl::StrCat("#!", Environment(kSecond), "/bin/python\n"));
  EXPECT_EQ(fs::read_symlink(directory_ / "code/tool"), Environment(kSecond) + "/bin/tool");
  EXPECT_EQ(ReadAll(directory_ / "code/sub/made.txt"), "made\n");
  EXPECT_FALSE(FileExists(Environment(kSecond) + "/half"));
}

TEST_F(StepReuseTest, AStepThatChangedLeavesTheEarlierOnes) {
  EXPECT_EQ(Build(kFirst, {one_, two_, three_}), 0);
  EXPECT_EQ(Build(kSecond, {one_, {"echo ran other >> $HOME/count; X=6; Y=; f() { :; }", 'y'}, {three_.command, 'z'}}),
            0);
  EXPECT_THAT(log_, StartsWith("==> Step 1 of 3 is reused: built by 1.build\n"));
  EXPECT_EQ(Home("count"), "one\nran other\n");
}

TEST_F(StepReuseTest, WhatABuildKeepsContainsWhatItReused) {
  EXPECT_EQ(Build(kFirst, {{one_.command + "\ncd sub", 'a'}, {"exit 7", 'x'}}), 7);
  EXPECT_EQ(Build(kSecond, {{one_.command + "\ncd sub", 'a'}, {"mkdir inner; cd inner", 'b'}, {"exit 7", 'x'}}), 7);
  EXPECT_EQ(Build(kFirst, {{one_.command + "\ncd sub", 'a'}, {"mkdir inner; cd inner", 'b'}, {"pwd; ls ../..", 'c'}}),
            0);
  EXPECT_THAT(log_, StartsWith("==> Steps 1-2 of 3 are reused: built by 2.build\n"));
  EXPECT_THAT(log_, HasSubstr(absl::StrCat(directory_ / "code/sub/inner", "\nsub\ntool\ntrain.py\n")));
  EXPECT_EQ(fs::read_symlink(directory_ / "code/tool"), Environment(kFirst) + "/bin/tool");
}

TEST_F(StepReuseTest, AProjectThatNowHasWhatStepsMakeIsBuiltFromTheFirstStep) {
  EXPECT_EQ(Build(kFirst, {one_, two_, three_}), 0);
  files_["sub/made.txt"] = "of the project\n";
  EXPECT_EQ(Build(kSecond, {one_, two_, three_}), 0);
  EXPECT_THAT(log_,
              HasSubstr("==> All steps run, as what an earlier build kept of them cannot be used: the project now "
                        "has sub/made.txt, which they make\n"));
  EXPECT_THAT(log_, HasSubstr("ran one\n"));
  EXPECT_EQ(Home("count"), "one\ntwo\n");
}

TEST_F(StepReuseTest, WhatWasTakenOfADamagedEntryIsRemovedBeforeTheFirstStep) {
  EXPECT_EQ(Build(kFirst, {one_, two_, three_}), 0);
  ASSERT_TRUE(fs::remove(Steps() + "/" + std::string(64, 'b') + kKeptState));
  EXPECT_EQ(Build(kSecond, {{absl::StrCat("echo \"[$(ls $ENV; ls $HOME)]\"; ", one_.command), 'a'}, two_, three_}), 0);
  EXPECT_THAT(log_, HasSubstr("==> All steps run, as what an earlier build kept of them cannot be used: open "));
  EXPECT_THAT(log_, HasSubstr("==> Step 1/3: do\n[]\nran one\n"));
  EXPECT_EQ(Home("count"), "one\ntwo\n");
}

TEST_F(StepReuseTest, ARebuildUsesNothingAndReplacesIt) {
  EXPECT_EQ(Build(kFirst, {one_, two_, three_}), 0);
  anew_ = true;
  EXPECT_EQ(Build(kSecond, {one_, two_, three_}), 0);
  EXPECT_THAT(log_, HasSubstr("ran one\n"));
  anew_ = false;
  EXPECT_EQ(Build(kFirst, {one_, two_, {"true", 'y'}}), 0);
  EXPECT_THAT(log_, StartsWith("==> Steps 1-2 of 3 are reused: built by 2.build\n"));
}

TEST_F(StepReuseTest, ARebuildRemovesWhatWasKeptAlsoWhenItCanKeepNothingItself) {
  EXPECT_EQ(Build(kFirst, {one_, two_, three_}), 0);
  anew_ = true;
  temporary_ = "absent";
  EXPECT_EQ(Build(kSecond, {one_, two_, three_}), 0);
  EXPECT_THAT(log_, HasSubstr("==> What the steps make is not kept for later builds: list "));
  EXPECT_THAT(log_, HasSubstr("ran one\n"));
  EXPECT_FALSE(IsKept('a'));
  EXPECT_FALSE(IsKept('b'));
}

TEST_F(StepReuseTest, ARebuildByAPlainShellRemovesWhatWasKept) {
  EXPECT_EQ(Build(kFirst, {one_, two_, three_}), 0);
  anew_ = true;
  shell_ = "/bin/sh";
  EXPECT_EQ(Build(kSecond, {{"true", 'a'}, {"true", 'b'}}), 0);
  EXPECT_FALSE(IsKept('a'));
  EXPECT_FALSE(IsKept('b'));
}

TEST_F(StepReuseTest, ChangesOfTheProjectsOwnFilesAreNotKept) {
  EXPECT_EQ(Build(kFirst, {one_, {"echo changed > train.py", 'b'}, {"true", 'c'}}), 0);
  EXPECT_THAT(log_, HasSubstr("==> Steps 1-2 of 3 are not kept for later builds: they change train.py, a file of the "
                              "project\n==> Step 3/3: do\n"));
  EXPECT_TRUE(IsKept('a'));
  EXPECT_FALSE(IsKept('b'));
}

TEST_F(StepReuseTest, StepsWithAProcessInTheBackgroundAreNotKept) {
  EXPECT_EQ(Build(kFirst, {{"sleep 1000 &", 'a'}, {"true", 'b'}}), 0);
  EXPECT_FALSE(IsKept('a'));
}

TEST_F(StepReuseTest, MoreThanTheBoundIsNotKeptAndLeavesNothing) {
  bytes_limit_ = 1000;
  EXPECT_EQ(Build(kFirst, {one_, {"true", 'b'}}), 0);
  EXPECT_THAT(log_, HasSubstr("==> Step 1 of 2 is not kept for later builds: they make "));
  EXPECT_FALSE(FileExists(Steps()));
}

TEST_F(StepReuseTest, AStopEndsABuildThatTakesWhatWasKept) {
  EXPECT_EQ(Build(kFirst, {one_, two_, three_}), 0);
  reuse_command_ = "touch $HOME/here; sleep 1000";
  while_running_ = [this](ChildProcess& run) {
    EXPECT_TRUE(Eventually([this] { return FileExists(directory_ / "tmp/home/here"); }));
    run.Signal(SIGTERM);
  };
  Build(kSecond, {one_, two_, three_});
  EXPECT_EQ(reason_, "KILLED");
  EXPECT_THAT(log_, Not(HasSubstr("==> Step 3/3")));
  while_running_ = nullptr;
  reuse_command_ = "";
  EXPECT_EQ(Build(kSecond, {one_, two_, three_}), 0);
  EXPECT_THAT(log_, StartsWith("==> Steps 1-2 of 3 are reused: built by 1.build\n==> Step 3/3: do\n"));
}

TEST_F(StepReuseTest, AStopEndsABuildThatKeepsWhatItMade) {
  while_running_ = [this](ChildProcess& run) {
    EXPECT_TRUE(Eventually([this] { return FileExists(Steps()) && !fs::is_empty(Steps()); }));
    run.Signal(SIGTERM);
  };
  Build(kFirst, {{"head -c 200000000 /dev/zero > $HOME/large", 'a'}, {"sleep 1000", 'b'}});
  EXPECT_EQ(reason_, "KILLED");
  EXPECT_TRUE(TrimKeptSteps(Steps(), {.bytes = 0, .age = absl::ZeroDuration()}, absl::InfiniteFuture()).ok());
  EXPECT_TRUE(fs::is_empty(Steps())) << "what was broken off is removed";
}

TEST_F(StepReuseTest, APlainShellKeepsNothingAsItDoesNotTellItsFunctions) {
  shell_ = "/bin/sh";
  EXPECT_EQ(Build(kFirst, {one_, two_, three_}), 0);
  EXPECT_FALSE(FileExists(Steps()));
}

}  // namespace
}  // namespace riseml::agent
