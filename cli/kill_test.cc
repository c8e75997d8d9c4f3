// riseml kill and riseml rm, the real program against a fake cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/testing/cli_fixture.h"

namespace riseml::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(CliTest, WithoutAnIdTheProjectInThisDirectoryDecides) {
  content().Put(MakeExperiment("4", v1::Experiment::RUNNING));
  v1::Experiment other = MakeExperiment("5", v1::Experiment::RUNNING);
  other.set_project("users/paul/projects/other");
  content().Put(other);
  WriteProject("riseml.yml", kGoodSpec);
  const Finished run = Run({"kill"});
  EXPECT_EQ(run.out, "killed experiment 4\n");
  EXPECT_EQ(run.err, "Newest experiment of project census that is under way: 4\n");
  WriteProject("riseml.yml", "project: [\n");
  EXPECT_THAT(Run({"kill"}).err, HasSubstr("Name the experiment instead."));
  EXPECT_THAT(content().killed(), ElementsAre(ExperimentResourceName("4")));
}

TEST_F(CliTest, KillNamesWhatItKilled) {
  v1::Experiment set = MakeExperiment("9", v1::Experiment::RUNNING);
  set.set_type(v1::Experiment::SET);
  content().Put(set);
  content().Put(MakeExperiment("8", v1::Experiment::RUNNING));
  const Finished run = Run({"kill", "9", "8"});
  EXPECT_EQ(run.out, "killed set 9\nkilled experiment 8\n");
  EXPECT_THAT(content().killed(), ElementsAre(ExperimentResourceName("9"), ExperimentResourceName("8")));
  EXPECT_EQ(Run({"kill", "8.train"}).err,
            "ERROR: Can only kill experiments!\n       riseml kill 8 kills the experiment of this job.\n");
}

TEST_F(CliTest, RepoR1KillWithoutIdNeverLeavesTheProject) {
  content().Put(MakeExperiment("3", v1::Experiment::RUNNING));
  const Finished nowhere = Run({"kill"});
  EXPECT_EQ(nowhere.exit_code, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("name the experiment, or the configuration: -f FILE"));
  v1::Experiment other = MakeExperiment("5", v1::Experiment::RUNNING);
  other.set_project("users/paul/projects/other");
  content().Put(other);
  WriteProject("riseml-big.yml", kGoodSpec);
  EXPECT_EQ(Run({"kill", "-f", "riseml-big.yml"}).out, "killed experiment 3\n");
  EXPECT_THAT(content().killed(), ElementsAre(ExperimentResourceName("3")));
}

TEST_F(CliTest, KillWithoutIdTakesTheNewestUnderWay) {
  WriteProject("riseml.yml", kGoodSpec);
  EXPECT_EQ(Run({"kill"}).err, "ERROR: No experiment of this project is under way!\n");
  content().Put(MakeExperiment("3", v1::Experiment::RUNNING));
  content().Put(MakeExperiment("4", v1::Experiment::RUNNING));
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  EXPECT_EQ(Run({"kill"}).out, "killed experiment 4\n");
  EXPECT_EQ(Run({"kill"}).out, "killed experiment 3\n");
  EXPECT_EQ(Run({"kill"}).exit_code, 1);
  content().Put(MakeExperiment("4", v1::Experiment::FINISHED));
  EXPECT_EQ(Run({"kill", "4"}).err, "ERROR: experiment 4 has ended already\n");
  EXPECT_EQ(Run({"kill", "4", "--force"}).out, "experiment 4 has ended already\n");
  const Finished twice = Run({"kill", "3"});
  EXPECT_EQ(twice.err, "ERROR: experiment 3 was killed before\n");
  EXPECT_EQ(twice.exit_code, 1);
  EXPECT_EQ(Run({"kill", "3", "--force"}).out, "experiment 3 was killed before\n");
  v1::Experiment dying = MakeExperiment("6", v1::Experiment::RUNNING);
  dying.set_desired_state(v1::Experiment::DESIRED_KILLED);
  content().Put(dying);
  EXPECT_EQ(Run({"kill", "6"}).out, "experiment 6 is being killed already\n");
  EXPECT_EQ(
      Run({"kill", "77"}).err,
      "ERROR: Could not find experiment! There is no experiment 77\n       List what there is: riseml status -a\n");
}

TEST_F(CliTest, RmDeletesReadersBeforeWhatTheyRead) {
  v1::Experiment set = MakeExperiment("9", v1::Experiment::KILLED);
  set.set_type(v1::Experiment::SET);
  set.set_child_count(3);
  content().Put(set);
  content().Put(MakeExperiment("8", v1::Experiment::FINISHED));
  const Finished run = Run({"rm", "--yes", "8", "9", "8"});
  EXPECT_EQ(run.out,
            "deleted set 9 of project census, 3 experiments, KILLED\n"
            "deleted experiment 8 of project census, FINISHED\n");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(content().deleted(), ElementsAre(ExperimentResourceName("9"), ExperimentResourceName("8")));
}

TEST_F(CliTest, RmAsksAndWithoutATerminalNamesTheFlag) {
  content().Put(MakeExperiment("8", v1::Experiment::FINISHED));
  const Finished run = Run({"rm", "8"}, "y\n");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr("': standard input is not a terminal; add --yes"));
  EXPECT_THAT(content().deleted(), IsEmpty());
}

TEST_F(CliTest, RmGoesOnAfterAFailureAndSaysSo) {
  content().Put(MakeExperiment("7", v1::Experiment::RUNNING));
  content().Put(MakeExperiment("8", v1::Experiment::FINISHED));
  const Finished run = Run({"rm", "-y", "-q", "7", "8"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, HasSubstr("7: it runs"));
  EXPECT_THAT(content().deleted(), ElementsAre(ExperimentResourceName("8")));
  EXPECT_THAT(Run({"rm", "-y", "99"}).err, HasSubstr("99: Could not find experiment!"));
  EXPECT_THAT(Run({"rm", "-y", "7.train"}).err, HasSubstr("7.train is a job; only experiments and sets"));
}

}  // namespace
}  // namespace riseml::cli
