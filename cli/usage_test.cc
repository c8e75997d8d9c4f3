// Help, completion and mistyped command lines of the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/testing/cli_fixture.h"

namespace riseml::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST_F(CliTest, VerboseShowsTheAddressesBeforeTheCommand) {
  const Finished run = Run({"-v", "whoami"});
  EXPECT_THAT(run.err, HasSubstr("api_url: " + cluster_->address() + "\n"));
  EXPECT_THAT(run.out, StartsWith("you are: paul (paul@example.org)\n"));
}

TEST_F(CliTest, CompletionScriptsAreValidInTheirShell) {
  const Finished bash = Run({"completion", "bash"});
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/completion.bash", bash.out).ok());
  ASSERT_TRUE(
      WriteFileAtomically(
          dir_ + "/complete.sh",
          absl::StrCat("source ", dir_, "/completion.bash\n",
                       "COMP_WORDS=(riseml user lo) COMP_CWORD=2; _riseml; echo \"${COMPREPLY[@]}\"\n"
                       "COMP_WORDS=(riseml logs --no) COMP_CWORD=2; _riseml; echo \"${COMPREPLY[@]}\"\n"
                       "COMP_WORDS=(riseml env l) COMP_CWORD=2; _riseml; echo \"alias ${COMPREPLY[@]}\"\n"
                       "COMP_WORDS=(riseml completion '') COMP_CWORD=2; _riseml; echo \"${COMPREPLY[@]}\"\n"
                       "COMP_WORDS=(riseml train -f '') COMP_CWORD=3; _riseml; echo \"files ${#COMPREPLY[@]}\"\n"))
          .ok());
  const Finished run = Program("/bin/bash", {dir_ + "/complete.sh"}, variables_, project_dir()).Finish();
  EXPECT_THAT(run.out, HasSubstr("login\n"));
  EXPECT_THAT(run.out, HasSubstr("--no-follow --no-color\n"));
  EXPECT_THAT(run.out, HasSubstr("alias list\n"));
  EXPECT_THAT(run.out, HasSubstr("bash zsh fish\n"));
  EXPECT_THAT(run.out, HasSubstr("files 0\n")) << "the shell completes the names of files itself then";
  EXPECT_THAT(Run({"completion", "zsh"}).out, StartsWith("#compdef riseml\n"));
  EXPECT_THAT(Run({"completion", "fish"}).out, HasSubstr("complete -c riseml -n '__riseml_at user' -a login"));
}

TEST_F(CliTest, MistypedCommandsNameTheNearest) {
  const auto says = [this](std::vector<std::string> arguments) {
    const Finished run = Run(std::move(arguments));
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_THAT(run.out, IsEmpty());
    return run.err;
  };
  EXPECT_EQ(says({"trian"}),
            "ERROR: riseml has no command 'trian'; did you mean 'train'?\n       See: riseml --help\n");
  EXPECT_EQ(says({"cp", "x", "y"}), "ERROR: riseml has no command 'cp'\n       See: riseml --help\n");
  EXPECT_EQ(says({"user", "craete", "paul"}),
            "ERROR: riseml user has no command 'craete'; did you mean 'create'?\n       See: riseml user --help\n");
  EXPECT_EQ(says({"status", "14", "15", "16"}),
            "ERROR: riseml status takes no such arguments: '15' '16'\n       See: riseml status --help\n");
}

TEST_F(CliTest, GroupsAloneShowTheirHelp) {
  for (const char* group : {"user", "system", "secret", "code", "environment", "env", "project"}) {
    const Finished run = Run({group});
    EXPECT_EQ(run.exit_code, 0) << group;
    EXPECT_THAT(run.out, HasSubstr("Subcommands:")) << group;
    EXPECT_THAT(run.err, IsEmpty()) << group;
  }
}

TEST_F(CliTest, NumbersAreCheckedWithAHint) {
  EXPECT_EQ(Run({"status", "-n", "x"}).err,
            "ERROR: --num-last: 'x' is no count: write a whole number of 0 or more, e.g. 20\n"
            "       See: riseml status --help\n");
  EXPECT_THAT(Run({"status", "-n", "-3"}).err, HasSubstr("write a whole number of 0 or more"));
  EXPECT_THAT(Run({"status", "-n", "99999999999999999999"}).err, HasSubstr("'99999999999999999999' is too large"));
}

TEST_F(CliTest, MistypedOptionsNameTheNearest) {
  EXPECT_EQ(Run({"train", "--configfile=x.yml"}).err,
            "ERROR: riseml train has no option '--configfile'; did you mean '--config-file'?\n"
            "       See: riseml train --help\n");
  EXPECT_EQ(Run({"status", "-x"}).err, "ERROR: riseml status has no option '-x'\n       See: riseml status --help\n");
}

}  // namespace
}  // namespace riseml::cli
