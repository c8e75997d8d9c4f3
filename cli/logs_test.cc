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

TEST_F(CliTest, LogsOfAnotherOwnerAreFollowedThere) {
  const std::string other = cluster_->other_logs_address();
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  content().Put(MakeJob("5", "build", v1::Job::FINISHED));
  content().Put(MakeJob("5", "train", v1::Job::FINISHED));
  content().AppendLog("uid-5-build", JobResourceName("5", "build"), "built here\n");
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "one\ntwo\ntrained there\n");
  content().EndLog("uid-5-build");
  content().EndLog("uid-5-train");
  content().SetOwner("uid-5-train", 0, other);
  content().SetOwner("uid-5-build", 1, cluster_->address());
  content().CutFollow({3, 5, 7});  // calls to both, whichever come first
  const Finished all = Run({"logs", "5"});
  EXPECT_EQ(all.exit_code, 0) << all.err;
  EXPECT_THAT(all.out, HasSubstr("5.build | built here\n"));
  EXPECT_THAT(all.out, HasSubstr("5.train | one\n5.train | two\n5.train | trained there\n"));
  const Finished raw = Run({"logs", "5", "--raw"});
  EXPECT_EQ(raw.out, "one\ntwo\ntrained there\n") << raw.err;
  EXPECT_EQ(raw.exit_code, 0);
  const Finished tail = Run({"logs", "5", "-n", "1", "--no-follow"});
  EXPECT_EQ(tail.exit_code, 0) << tail.err;
  EXPECT_THAT(tail.out, AllOf(HasSubstr("5.build | built here\n"), HasSubstr("5.train | trained there\n"),
                              Not(HasSubstr("two"))));
}

TEST_F(CliTest, ALogThatMovesIsReadOnWithoutGapOrRepeat) {
  const std::string other = cluster_->other_logs_address();
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  content().Put(MakeJob("5", "train", v1::Job::FINISHED));
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "here\n");
  const auto logs = Start({"logs", "5", "--raw"});
  ASSERT_TRUE(logs->ReadUntil("here\n"));
  content().SetOwner("uid-5-train", 0, other);
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "there\n");
  ASSERT_TRUE(logs->ReadUntil("there\n"));
  content().SetOwner("uid-5-train", 0, "");
  content().SetOwner("uid-5-train", 1, cluster_->address());
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "here again\n");
  content().EndLog("uid-5-train");
  const Finished run = logs->Finish();
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "here\nthere\nhere again\n");
}

TEST_F(CliTest, ALogWhoseOwnerHasDiedIsReadOnAtTheNextOne) {
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  content().Put(MakeJob("5", "train", v1::Job::FINISHED));
  content().SetOwner("uid-5-train", 0, cluster_->other_logs_address());
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "there\n");
  const auto logs = Start({"logs", "5", "--raw"});
  ASSERT_TRUE(logs->ReadUntil("there\n"));
  cluster_->StopOtherLogs();
  content().SetOwner("uid-5-train", 0, "");
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "here\n");
  content().EndLog("uid-5-train");
  const Finished run = logs->Finish();
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "there\nhere\n");
}

TEST_F(CliTest, OwnersInACircleAndOutOfReachAreSaidSo) {
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  content().Put(MakeJob("5", "train", v1::Job::FINISHED));
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "never shown\n");
  content().SetOwner("uid-5-train", 0, cluster_->other_logs_address());
  content().SetOwner("uid-5-train", 1, cluster_->address());
  const Finished circle = Run({"logs", "5"});
  EXPECT_EQ(circle.exit_code, 1);
  EXPECT_THAT(circle.err, AllOf(HasSubstr("ERROR: cannot find the log of "), HasSubstr("5/jobs/train"),
                                HasSubstr(cluster_->other_logs_address())));
  content().SetOwner("uid-5-train", 0, "127.0.0.1:1");
  const Finished unreachable = Run({"logs", "5"});
  EXPECT_EQ(unreachable.exit_code, 1);
  EXPECT_THAT(unreachable.err, AllOf(HasSubstr("ERROR: "), HasSubstr("127.0.0.1:1")));
}

TEST_F(CliTest, ADamagedLogIsAnErrorLineAndTheOthersAreShown) {
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  content().Put(MakeJob("5", "build", v1::Job::FINISHED));
  content().Put(MakeJob("5", "train", v1::Job::FINISHED));
  content().AppendLog("uid-5-build", JobResourceName("5", "build"), "built\n");
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "trained\n");
  content().DamageLog("uid-5-build", "seg-0.rlog is damaged");
  content().EndLog("uid-5-train");
  const std::string line = "ERROR: the log of 5.build cannot be read beyond byte 6: seg-0.rlog is damaged\n";
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"logs", "5"}, {"logs", "5", "--no-follow"}}) {
    const Finished run = Run(arguments);
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_EQ(run.err, line);
    EXPECT_THAT(run.out, AllOf(HasSubstr("5.build | built\n"), HasSubstr("5.train | trained\n")));
    EXPECT_THAT(run.out, Not(HasSubstr("log is cut")));
  }
  content().DamageLog("uid-5-train", "torn");
  const Finished raw = Run({"logs", "5", "--raw"});
  EXPECT_EQ(raw.exit_code, 1);
  EXPECT_EQ(raw.out, "trained\n");
  EXPECT_EQ(raw.err, "ERROR: the log of 5.train cannot be read beyond byte 8: torn\n");
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

TEST_F(CliTest, WhatIsNotStoredOfALogIsSaidOnce) {
  content().Put(MakeExperiment("5", v1::Experiment::RUNNING));
  v1::Job job = MakeJob("5", "train", v1::Job::RUNNING);
  content().Put(job);
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "first\n");
  const auto logs = Start({"logs", "5"});
  ASSERT_TRUE(logs->ReadUntil("first\n"));
  if (job.attempts().empty()) job.add_attempts()->set_number(1);
  v1::LogBacklog* backlog = job.mutable_attempts(0)->mutable_log_backlog();
  backlog->mutable_oldest_time()->set_seconds(1'700'000'000);
  for (const std::int64_t megabytes : {3, 4}) {
    backlog->set_bytes(megabytes << 20);
    job.set_message(absl::StrCat("seen ", megabytes));
    content().Put(job);
    ASSERT_TRUE(logs->ReadUntil(job.message()));
  }
  job.mutable_attempts(0)->clear_log_backlog();
  job.set_state(v1::Job::FINISHED);
  content().Put(job);
  content().AppendLog("uid-5-train", JobResourceName("5", "train"), "last\n");
  content().EndLog("uid-5-train");
  content().Put(MakeExperiment("5", v1::Experiment::FINISHED));
  const Finished run = logs->Finish();
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("5.train | last\n"));
  EXPECT_EQ(run.err,
            "5.train: 3.0 MB of the log are not stored yet, the oldest of them since 2023-11-14T22:13:20Z; "
            "it is shown once it is stored\n");
}

TEST_F(CliTest, LogsOfAnAbsentExperimentSaySo) {
  const Finished run = Run({"logs", "77"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, StartsWith("ERROR: Could not find experiment! There is no experiment 77\n"));
}

}  // namespace
}  // namespace riseml::cli
