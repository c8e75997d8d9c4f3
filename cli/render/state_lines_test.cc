#include "cli/render/state_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/render/state_fixture.h"

namespace riseml::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> First(const std::vector<StateLine>& lines) {
  std::vector<std::string> out;
  for (const StateLine& line : lines) out.push_back(absl::StrCat(line.name.substr(sizeof kName - 1), line.lines[0]));
  return out;
}

TEST(StateLines, TellEachStateOnce) {
  ExperimentState state(kName);
  StateLines lines;
  Put(state, v1::Experiment::RUNNING);
  Put(state, MakeJob("train", v1::Job::RUNNING));
  EXPECT_THAT(First(lines.Update(state)), ElementsAre("--> RUNNING", "/jobs/train--> RUNNING"));
  EXPECT_THAT(lines.Update(state), IsEmpty());
}

TEST(StateLines, ANewReasonToWaitIsTold) {
  ExperimentState state(kName);
  StateLines lines;
  v1::Job job = MakeJob("train", v1::Job::PENDING);
  Put(state, job);
  EXPECT_THAT(First(lines.Update(state)), ElementsAre("/jobs/train--> PENDING"));
  job.set_wait_message("no node has 2 free GPUs");
  Put(state, job);
  const auto told = lines.Update(state);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told[0].lines, ElementsAre("--> PENDING", "Message: no node has 2 free GPUs"));
  EXPECT_THAT(lines.Update(state), IsEmpty());
}

TEST(StateLines, TheEndComesBehindTheLastLineOfTheLog) {
  ExperimentState state(kName);
  StateLines lines;
  Put(state, v1::Experiment::FINISHED);
  v1::Job job = MakeJob("train", v1::Job::FINISHED);
  job.set_reason("COMPLETED");
  job.set_exit_code(0);
  Put(state, job);
  EXPECT_THAT(lines.Update(state), IsEmpty());
  lines.OnLogEnd("uid-train", 1);
  const auto told = lines.Update(state);
  EXPECT_THAT(First(told), ElementsAre("/jobs/train--> FINISHED", "--> FINISHED"));
  EXPECT_THAT(told[0].lines, ElementsAre("--> FINISHED", "Reason: COMPLETED", "Exit Code: 0"));
}

TEST(StateLines, AJobThatNeverRanHasNoLogToWaitFor) {
  ExperimentState state(kName);
  StateLines lines;
  v1::Job job = MakeJob("train", v1::Job::KILLED);
  job.set_attempt_count(0);
  Put(state, job);
  Put(state, v1::Experiment::KILLED);
  EXPECT_THAT(First(lines.Update(state)), ElementsAre("/jobs/train--> KILLED", "--> KILLED"));
}

TEST(StateLines, ASecondAttemptIsToldAgain) {
  ExperimentState state(kName);
  StateLines lines;
  Put(state, MakeJob("train", v1::Job::RUNNING));
  lines.Update(state);
  v1::Job again = MakeJob("train", v1::Job::RUNNING);
  again.set_attempt_count(2);
  Put(state, again);
  EXPECT_THAT(First(lines.Update(state)), ElementsAre("/jobs/train--> RUNNING (attempt 2)"));
}

TEST(StateLines, AJobThatIsTriedAgainIsToldOnceBehindTheLogOfItsAttempt) {
  ExperimentState state(kName);
  StateLines lines;
  Put(state, MakeJob("train", v1::Job::RUNNING));
  lines.Update(state);
  v1::Job again = MakeJob("train", v1::Job::PENDING);
  again.set_attempt_count(1);
  again.set_reason("ERROR");
  again.set_message("tried again in 10s, retry 1 of 1");
  Put(state, again);
  EXPECT_THAT(lines.Update(state), IsEmpty());
  lines.OnLogEnd("uid-train", 1);
  ASSERT_EQ(lines.Update(state).size(), 1u);
  again.set_wait_message("waits until 14:03:10 UTC before it is tried again");
  Put(state, again);
  EXPECT_THAT(lines.Update(state), IsEmpty());
}

TEST(StateLines, TheEndOfFollowingReleasesEverything) {
  ExperimentState state(kName);
  StateLines lines;
  Put(state, MakeJob("train", v1::Job::FAILED));
  EXPECT_THAT(lines.Update(state), IsEmpty());
  lines.OnFollowEnd();
  EXPECT_THAT(First(lines.Update(state)), ElementsAre("/jobs/train--> FAILED"));
}

TEST(StateLines, AnExperimentIsNotOverBeforeItsJobs) {
  ExperimentState state(kName);
  StateLines lines;
  lines.OnFollowEnd();
  Put(state, MakeJob("train", v1::Job::RUNNING));
  Put(state, v1::Experiment::FAILED);
  EXPECT_THAT(First(lines.Update(state)), ElementsAre("/jobs/train--> RUNNING"));
  Put(state, MakeJob("train", v1::Job::FAILED));
  EXPECT_THAT(First(lines.Update(state)), ElementsAre("/jobs/train--> FAILED", "--> FAILED"));
}

TEST(StateLines, TheEndOfTheWatchReleasesTheExperiment) {
  ExperimentState state(kName);
  StateLines lines;
  lines.OnFollowEnd();
  Put(state, MakeJob("tensorboard", v1::Job::SERVING));
  Put(state, v1::Experiment::FINISHED);
  lines.Update(state);
  state.complete = true;
  EXPECT_THAT(First(lines.Update(state)), ElementsAre("--> FINISHED"));
}

TEST(StateLines, AChildEndsBehindItsOwnJobsOnly) {
  ExperimentState state(kName);
  StateLines lines;
  const std::string child = absl::StrCat(kName, ".1");
  v1::Job job = MakeJob("train", v1::Job::FINISHED);
  job.set_name(absl::StrCat(child, "/jobs/train"));
  Put(state, job);
  v1::Job other = MakeJob("train", v1::Job::RUNNING);
  other.set_name(absl::StrCat(kName, ".2/jobs/train"));
  other.set_uid("uid-other");
  Put(state, other);
  Put(state, v1::Experiment::RUNNING);
  Put(state, v1::Experiment::FINISHED, child);
  EXPECT_THAT(First(lines.Update(state)), ElementsAre("--> RUNNING", ".2/jobs/train--> RUNNING"));
  lines.OnLogEnd("uid-train", 1);
  EXPECT_THAT(First(lines.Update(state)), ElementsAre(".1/jobs/train--> FINISHED", ".1--> FINISHED"));
}

TEST(StateLines, TheFailureOfABuildIsToldBeforeWhatItKilled) {
  ExperimentState state(kName);
  StateLines lines;
  state.synced = true;
  Put(state, MakeJob("build", v1::Job::RUNNING));
  lines.Update(state);
  v1::Job train = MakeJob("train", v1::Job::KILLED);
  train.set_reason("BUILD_FAILED");
  train.set_attempt_count(0);
  Put(state, train);
  EXPECT_THAT(lines.Update(state), IsEmpty());
  Put(state, MakeJob("build", v1::Job::FAILED));
  Put(state, v1::Experiment::FAILED);
  EXPECT_THAT(lines.Update(state), IsEmpty());
  lines.OnLogEnd("uid-build", 1);
  std::vector<std::string> told;
  for (const StateLine& line : lines.Update(state)) told.push_back(absl::StrCat(line.name, " ", line.lines[0]));
  EXPECT_THAT(told, ElementsAre(absl::StrCat(kName, "/jobs/build --> FAILED"),
                                absl::StrCat(kName, "/jobs/train --> KILLED"), absl::StrCat(kName, " --> FAILED")));
}

TEST(StateLines, AnExperimentWaitsAgainBehindWhatItsJobPrinted) {
  ExperimentState state(kName);
  StateLines lines;
  state.synced = true;
  Put(state, v1::Experiment::RUNNING);
  Put(state, MakeJob("train", v1::Job::RUNNING));
  lines.Update(state);
  v1::Job train = MakeJob("train", v1::Job::PENDING);
  train.set_attempt_count(1);
  Put(state, train);
  Put(state, v1::Experiment::PENDING);
  EXPECT_THAT(lines.Update(state), IsEmpty());
  lines.OnLogEnd("uid-train", 1);
  EXPECT_EQ(lines.Update(state).size(), 2u);
}

TEST(StateLines, AnEarlierAttemptSaysWhyItEnded) {
  v1::Job job = MakeJob("train", v1::Job::FINISHED);
  job.set_attempt_count(2);
  v1::Attempt* const first = job.add_attempts();
  first->set_number(1);
  first->set_state(v1::Attempt::FAILED);
  first->set_message("Command `exit 3` return code: 3");
  job.add_attempts()->set_number(2);
  EXPECT_THAT(EarlierAttempt(job, 1)->lines,
              ElementsAre("--> FAILED (attempt 1)",
                          "Message: Command `exit 3` return code: 3; tried again, attempt 2 follows"));
  EXPECT_FALSE(EarlierAttempt(job, 2).has_value());
}

}  // namespace
}  // namespace riseml::cli
