// Phases, live lines and logs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/render/live_line.h"
#include "cli/render/log_view.h"
#include "cli/render/phases.h"
#include "cli/render/silence.h"
#include "cli/render/state_fixture.h"
#include "cli/render/state_lines.h"
#include "cli/testing/golden.h"

namespace riseml::cli {
namespace {

using testing::ElementsAre;

const absl::Time kDrawn = absl::FromUnixSeconds(1'700'000'100);

// The whole life of an experiment as one text.
std::string DrawPhases(const Terminal& terminal) {
  ExperimentState state(kName);
  PhaseBlock block(terminal);
  std::string out;
  const auto draw = [&] { absl::StrAppend(&out, "[", block.Draw(PhasesOf(state, kDrawn)), "]\n"); };
  Put(state, v1::Experiment::CREATED);
  Put(state, MakeJob("build", v1::Job::STARTING));
  Put(state, MakeJob("train", v1::Job::CREATED));
  draw();
  draw();
  v1::Job build = MakeJob("build", v1::Job::FINISHED);
  build.mutable_start_time()->set_seconds(1'700'000'010);
  build.mutable_end_time()->set_seconds(1'700'000'080);
  Put(state, build);
  Put(state, v1::Experiment::PENDING);
  v1::Job waiting = MakeJob("train", v1::Job::PENDING);
  waiting.set_wait_reason("NO_CAPACITY");
  waiting.set_wait_message(
      "no node has 2 free GPUs; the fullest would be free once 12 of the older experiments have ended");
  Put(state, waiting);
  draw();
  Put(state, v1::Experiment::STARTING);
  Put(state, MakeJob("train", v1::Job::STARTING));
  draw();
  Put(state, v1::Experiment::RUNNING);
  draw();
  EXPECT_TRUE(PhasesAreOver(state));
  return out;
}

TEST(Phases, AreOneBlockOnATerminal) {
  ExpectGolden("phases_tty", DrawPhases({.tty = true, .color = true, .width = 60}));
}
TEST(Phases, AreAsciiWhereNothingElseCanBeShown) {
  ExpectGolden("phases_ascii", DrawPhases({.tty = true, .utf8 = false}));
}

TEST(Phases, AFailedBuildIsSaid) {
  ExperimentState state(kName);
  v1::Job build = MakeJob("build", v1::Job::FAILED);
  build.set_message("pip install -r requirements.txt: exit code 1");
  Put(state, build);
  Put(state, v1::Experiment::FAILED);
  const auto phases = PhasesOf(state, kDrawn);
  ASSERT_EQ(phases.size(), 3u);
  EXPECT_EQ(phases[0].progress, Phase::Progress::kFailed);
  EXPECT_EQ(phases[0].detail, "pip install -r requirements.txt: exit code 1");
  EXPECT_EQ(phases[1].progress, Phase::Progress::kAhead);
  EXPECT_EQ(phases[2].progress, Phase::Progress::kAhead);
}

TEST(Phases, ABuildThatPrintsStandsAlone) {
  ExperimentState state(kName);
  PhaseBlock block({.tty = true});
  Put(state, v1::Experiment::BUILDING);
  Put(state, MakeJob("build", v1::Job::STARTING));
  Put(state, MakeJob("train", v1::Job::CREATED));
  EXPECT_EQ(block.Draw(PhasesOf(state, kDrawn)),
            "\r\x1b[K● build\n"
            "\r\x1b[K○ queue\n"
            "\r\x1b[K○ start\n");
  Put(state, MakeJob("build", v1::Job::RUNNING));
  EXPECT_EQ(block.Draw(PhasesOf(state, kDrawn)), "\x1b[3A\r\x1b[K● build  its log follows\n\r\x1b[J");
}

TEST(Silence, IsToldAtOnceAndThenEverMoreRarely) {
  Silence silence(kDrawn);
  std::vector<int> told;
  for (int second = 0; second <= 40; ++second)
    if (silence.IsDue(kDrawn + absl::Seconds(second))) told.push_back(second);
  EXPECT_THAT(told, ElementsAre(1, 3, 7, 15, 31));
  silence.Broken(kDrawn + absl::Seconds(40));
  EXPECT_EQ(silence.Left(kDrawn + absl::Seconds(40)), absl::Seconds(1));
}

TEST(LiveLine, NamesTheJobAndHowLong) {
  ExperimentState state(kName);
  state.synced = true;
  Put(state, v1::Experiment::RUNNING);
  v1::Job train = MakeJob("train", v1::Job::RUNNING);
  train.mutable_start_time()->set_seconds(1'700'000'037);
  Put(state, MakeJob("build", v1::Job::FINISHED));
  Put(state, MakeJob("tensorboard", v1::Job::PENDING));
  Put(state, train);
  EXPECT_EQ(LiveLine(state, "paul", kDrawn), "5.train is RUNNING, 1m 3s");
  EXPECT_EQ(LiveLine(state, "mary", kDrawn), ".paul.5.train is RUNNING, 1m 3s");
  Put(state, v1::Experiment::FINISHED);
  EXPECT_EQ(LiveLine(state, "paul", kDrawn), "");
}

TEST(LiveLine, CountsTheChildrenOfASet) {
  ExperimentState state(kName);
  state.synced = true;
  v1::WatchExperimentResponse change;
  change.mutable_experiment()->set_name(kName);
  change.mutable_experiment()->set_type(v1::Experiment::SET);
  change.mutable_experiment()->set_state(v1::Experiment::RUNNING);
  change.mutable_experiment()->mutable_create_time()->set_seconds(1'700'000'090);
  state.Apply(change);
  Put(state, v1::Experiment::FINISHED, absl::StrCat(kName, ".1"));
  Put(state, v1::Experiment::RUNNING, absl::StrCat(kName, ".2"));
  Put(state, v1::Experiment::PENDING, absl::StrCat(kName, ".3"));
  EXPECT_EQ(LiveLine(state, "paul", kDrawn), "5: 1 of 3 ended, 1 running, 10 seconds");
  v1::Job build = MakeJob("build", v1::Job::RUNNING);
  build.mutable_start_time()->set_seconds(1'700'000'095);
  Put(state, build);
  EXPECT_EQ(LiveLine(state, "paul", kDrawn), "5.build is RUNNING, 5 seconds");
}

TEST(ByNumber, OrdersNamesAsPeopleCount) {
  const ByNumber before;
  EXPECT_TRUE(before("e/7.2", "e/7.10"));
  EXPECT_FALSE(before("e/7.10", "e/7.2"));
  EXPECT_TRUE(before("e/7", "e/7.1"));
  EXPECT_TRUE(before("e/7.1", "e/7/jobs/train"));
  EXPECT_TRUE(before("e/7/jobs/a1", "e/7/jobs/aa"));
  EXPECT_FALSE(before("e/7.2", "e/7.2"));
}

class LogWriter {
 public:
  explicit LogWriter(LogViewOptions options) : view(std::move(options)) {}

  void Announce(const std::string& role, int attempt = 1) {
    v1::FollowResponse response;
    response.mutable_stream()->set_job_uid(absl::StrCat("uid-", role));
    response.mutable_stream()->set_attempt(attempt);
    response.mutable_stream()->set_job(absl::StrCat(kName, "/jobs/", role));
    absl::StrAppend(&out, view.Show(response));
  }
  void Write(const std::string& role, const std::string& data, int attempt = 1) {
    v1::FollowResponse response;
    v1::LogChunk* chunk = response.mutable_chunk();
    chunk->set_job_uid(absl::StrCat("uid-", role));
    chunk->set_attempt(attempt);
    std::int64_t& offset = offsets[absl::StrCat(role, attempt)];
    chunk->set_first_offset(offset);
    v1::TimeMark* mark = chunk->add_times();
    mark->set_offset(offset);
    mark->mutable_time()->set_seconds(1'700'000'000 + offset);
    offset += static_cast<std::int64_t>(data.size());
    chunk->set_data(data);
    absl::StrAppend(&out, view.Show(response));
  }

  LogView view;
  std::map<std::string, std::int64_t> offsets;
  std::string out;
};

std::string DrawLog(LogViewOptions options) {
  options.caller = "paul";
  LogWriter log(std::move(options));
  log.view.Expect(kName);
  log.Announce("build");
  log.Announce("train");
  absl::StrAppend(&log.out, log.view.Show({StateLine{.name = kName, .lines = {"--> RUNNING"}, .time = kDrawn}}));
  log.Write("build", "Collecting numpy\nInstall");
  log.Write("train", "epoch 1\n\x1b[32mgreen and\nstill green\x1b[0m\n");
  log.Write("build", "ed numpy\n");
  log.Write("train", " 10%\r 20%");
  log.Write("train", "\r 30%\r100%\n");
  log.Write("train", "half a line");
  v1::FollowResponse gap;
  gap.mutable_gap()->set_job_uid("uid-train");
  gap.mutable_gap()->set_attempt(1);
  gap.mutable_gap()->set_first_offset(log.offsets["train1"]);
  gap.mutable_gap()->set_length(4096);
  absl::StrAppend(&log.out, log.view.Show(gap));
  log.offsets["train1"] += 4096;
  log.Write("train", "behind the gap");
  v1::FollowResponse end;
  end.mutable_end()->set_job_uid("uid-train");
  end.mutable_end()->set_attempt(1);
  end.mutable_end()->set_final_offset(log.offsets["train1"]);
  absl::StrAppend(&log.out, log.view.Show(end));
  log.Announce("train", 2);
  log.Write("train", "\x1b]0;owned\x07second try\n", 2);
  return absl::StrCat(log.out, log.view.Finish());
}

std::string DrawImitations(LogViewOptions options) {
  options.caller = "paul";
  LogWriter log(std::move(options));
  const std::string job = absl::StrCat(kName, "/jobs/train");
  log.Announce("train");
  const StateLine running{.name = job, .lines = {"--> RUNNING"}, .time = kDrawn};
  absl::StrAppend(&log.out, log.view.Show({running}));
  log.Write("train", "Message: the disk is broken\nMessage: an ordinary line\n");
  log.Write("train", "\x1b[1m--> FINISHED\x1b[0m\n--> FAILED\n \t-->  KILLED (attempt 2)\n--\x07> FINISHED\n");
  log.Write("train", "\u2192 FINISHED\n--\u200d> FINISHED\n\x1b]0;x\x07--> FINISHED\n--> log of attempt 2\n");
  log.Write("train", "12 bytes of the log were lost on the node\nlog is cut at 5 bytes: node lost\n");
  log.Write("train", " --> src/main.rs:3:5\n--> Installing\n=> RUNNING tests\nRUNNING\n> FINISHED with 3 errors\n");
  log.Write("train", "--> FINI");
  log.Write("train", "SHED");
  return absl::StrCat(log.out, log.view.Finish());
}

TEST(LogView, NoPrintedLineLooksLikeOneOfOurs) {
  ExpectGolden("log_imitations_plain", DrawImitations({}));
  ExpectGolden("log_imitations_tty", DrawImitations({.terminal = {.tty = true, .color = true, .width = 60}}));
}

TEST(LogView, ShowsFinalStatesInAPipe) { ExpectGolden("log_plain", DrawLog({})); }
TEST(LogView, RedrawsTheOpenLineOnATerminal) {
  ExpectGolden("log_tty", DrawLog({.terminal = {.tty = true, .color = true, .width = 40}}));
}
TEST(LogView, ShowsTimes) { ExpectGolden("log_timestamps", DrawLog({.timestamps = true})); }

TEST(LogView, PiecesOfALongLineStayOnOneLineUnlessAnotherJobSpeaks) {
  LogWriter log({.caller = "paul"});
  log.Announce("ps");
  log.Announce("train");
  const std::string longer(logtext::LineFolder::kMaxLine + 10, 'x');
  log.Write("train", longer + "\n");
  EXPECT_EQ(log.out, absl::StrCat("5.train | ", longer, "\n"));
  log.out.clear();
  log.Write("train", longer);
  log.Write("ps", "a\n");
  log.Write("train", "\n");
  EXPECT_THAT(log.out, testing::HasSubstr("xxx\n5.ps    | a\n5.train | xxx"));
}

TEST(LogView, ALiveLineGivesWayToTheLog) {
  LogWriter log({.terminal = {.tty = true, .width = 30}, .caller = "paul"});
  log.Announce("train");
  EXPECT_EQ(log.view.DrawLive("5.train is RUNNING, 1 second and more"), "\r5.train is RUNNING, 1 second \x1b[K");
  log.Write("train", "a\nb");
  EXPECT_EQ(log.out, "\r\x1b[K5.train | a\n5.train | b");
  EXPECT_EQ(log.view.DrawLive("5.train is RUNNING"), "") << "the unfinished line of the log stays";
  EXPECT_EQ(LogWriter({.caller = "paul"}).view.DrawLive("5.train is RUNNING"), "") << "no terminal";
}

TEST(LogView, AnOpenLineNeverWraps) {
  LogWriter log({.terminal = {.tty = true, .width = 30}, .caller = "paul"});
  log.Announce("train");
  log.Write("train", std::string(100, '='));
  EXPECT_EQ(log.out, absl::StrCat("5.train | ", std::string(19, '=')));
}

}  // namespace
}  // namespace riseml::cli
