// riseml logs, the real program against a fake cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "cli/testing/cli_fixture.h"

namespace riseml::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST_F(CliTest, LogsComeWithoutGapOrRepeatAcrossCuts) {
  std::string bytes, expected;
  for (int i = 0; i < 300; ++i) {
    absl::StrAppend(&bytes, "line ", i, " ä\n");
    absl::StrAppend(&expected, "5.train | line ", i, " ä\n");
  }
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  content().Put(MakeJob("5", "train", v1::Job::FINISHED));
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), bytes);
  content().EndLog("uid-5-train");
  content().CutFollow({0, 1, 500, 3, 0, 1000});
  const Finished run = Run({"logs", "5"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(content().follow_calls(), 7);
  EXPECT_THAT(run.out, HasSubstr(expected));
  EXPECT_EQ(run.out, absl::StrCat(expected, "5.train | --> FINISHED\n5       | --> FINISHED\n"));
  EXPECT_THAT(run.err, AllOf(HasSubstr("connection lost, reconnecting…\n"), HasSubstr("resumed, nothing lost\n")));
}

TEST_F(CliTest, RawLogsAreTheBytesAndNothingElse) {
  std::string bytes("10%\r20%\r\n\x1b[31mred\xff\0end", 22);
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  content().Put(MakeJob("5", "train", v1::Job::FINISHED));
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), bytes);
  content().AppendLog("uid-5-build", JobResourceName("5", "build"), "not this\n");
  content().EndLog("uid-5-train");
  content().CutFollow({9});
  const Finished run = Run({"logs", "5", "--raw"});
  EXPECT_EQ(run.out, bytes);
  EXPECT_EQ(run.exit_code, 0);
}

TEST_F(CliTest, FoldedLogsShowFinalStatesWithoutControlSequences) {
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  content().Put(MakeJob("5", "train", v1::Job::FINISHED));
  content().AppendLog("uid-5-train", JobResourceName("5", "train"),
                      " 10%\r 99%\r100%\n\x1b]0;title\x07\x1b[31mred\x1b[0m\nopen");
  content().EndLog("uid-5-train", /*complete=*/false);
  const Finished run = Run({"logs", "5.train"});
  EXPECT_THAT(run.out, StartsWith("5.train | 100%\n5.train | red\n5.train | open\n5.train | log is cut at "));
  EXPECT_THAT(run.out, Not(HasSubstr("\x1b")));
}

TEST_F(CliTest, TailBeginsWithTheLastLines) {
  content().Put(MakeExperiment("5", v1::Experiment::RUNNING));
  content().Put(MakeJob("5", "train", v1::Job::RUNNING));
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "a\nb\nc\n");
  const Finished run = Run({"logs", "5", "-n", "2", "--no-follow"});
  EXPECT_EQ(run.out, "5       | --> RUNNING\n5.train | --> RUNNING\n5.train | b\n5.train | c\n");
}

TEST_F(CliTest, InterruptedLogsDetach) {
  content().Put(MakeExperiment("5", v1::Experiment::RUNNING));
  content().Put(MakeJob("5", "train", v1::Job::RUNNING));
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "first\n");
  const auto logs = Start({"logs", "5"});
  ASSERT_TRUE(logs->ReadUntil("first\n"));
  logs->Signal(SIGINT);
  const Finished run = logs->Finish();
  EXPECT_EQ(run.exit_code, 130);
  EXPECT_THAT(run.err, HasSubstr("\nExperiment will continue in background\nType `riseml logs 5`"));
  EXPECT_THAT(content().killed(), IsEmpty());
}

TEST_F(CliTest, LogsFollowUntilTheEnd) {
  content().Put(MakeExperiment("5", v1::Experiment::RUNNING));
  content().Put(MakeJob("5", "train", v1::Job::RUNNING));
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "first\n");
  const auto logs = Start({"logs"});
  ASSERT_TRUE(logs->ReadUntil("5.train | first\n"));
  v1::Job ended = MakeJob("5", "train", v1::Job::FAILED);
  ended.set_reason("ERROR");
  ended.set_message("Command `python run.py` return code: 3");
  ended.set_exit_code(3);
  content().Put(ended);
  content().Put(MakeExperiment("5", v1::Experiment::FAILED));
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "last\n");
  content().EndLog("uid-5-train");
  const Finished run = logs->Finish();
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.err, HasSubstr("Newest experiment: 5\n"));
  EXPECT_THAT(run.out, HasSubstr("5.train | last\n5.train | --> FAILED\n5.train | Reason: ERROR\n"
                                 "5.train | Message: Command `python run.py` return code: 3\n5.train | Exit Code: 3\n"
                                 "5       | --> FAILED\n"));
}

TEST_F(CliTest, OnATerminalPhasesAndOpenLinesAreRedrawnInColour) {
  WriteProject("riseml.yml", kGoodSpec);
  content().Put(MakeExperiment("138", v1::Experiment::PENDING));
  content().Put(MakeJob("138", "train", v1::Job::PENDING));
  Program train(RISEML_PROGRAM, {"train", "-l"}, variables_, project_dir(), "", /*terminal=*/true);
  ASSERT_TRUE(train.ReadUntil("\x1b[33m●\x1b[0m queue"));
  content().Put(MakeJob("138", "train", v1::Job::RUNNING));
  content().Put(MakeExperiment("138", v1::Experiment::RUNNING));
  ASSERT_TRUE(train.ReadUntil("\x1b[2A\r\x1b[K\x1b[32m✓\x1b[0m queue"));
  content().AppendLog("uid-138-train", JobResourceName("138", "train"), "10%\r20%");
  ASSERT_TRUE(train.ReadUntil("138.train |\x1b[0m 20%"));
  content().AppendLog("uid-138-train", JobResourceName("138", "train"), "\r30%\n");
  ASSERT_TRUE(train.ReadUntil("\r\x1b[K\x1b[35m138.train |\x1b[0m 30%\r\n"));
  content().EndLog("uid-138-train");
  content().Put(MakeJob("138", "train", v1::Job::FINISHED));
  content().Put(MakeExperiment("138", v1::Experiment::FINISHED));
  const Finished run = train.Finish();
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_THAT(run.out, HasSubstr("Experiment 138: \x1b[32m✓\x1b[0m FINISHED"));
}

TEST_F(CliTest, LogsOfAnAbsentExperimentSaySo) {
  const Finished run = Run({"logs", "77"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, StartsWith("ERROR: Could not find experiment! There is no experiment 77\n"));
}

}  // namespace
}  // namespace riseml::cli
