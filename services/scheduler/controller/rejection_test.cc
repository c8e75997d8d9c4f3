// Nodes that do not take an attempt, and capacity that is not free although nobody wants what holds it.
#include "services/scheduler/controller/test_world.h"

namespace riseml::scheduler {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(ControllerTest, RejectedPlacementIsMadeAgainLater) {
  w_.node->SetFull(true);
  w_.Add("a");
  EXPECT_THAT(w_.Events("a"), ElementsAre("REJECTED 1"));
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 1") << "it has not failed";
  EXPECT_THAT(w_.node->List(), IsEmpty()) << "the node may forget it";
  w_.node->SetFull(false);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 1") << "not again at once";
  w_.Advance(absl::Seconds(1));
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 2");
}

TEST_F(ControllerTest, NodeThatRejectsIsAskedLessAndLess) {
  w_.node->SetFull(true);
  w_.Add("a");
  for (int i = 0; i < 60; ++i) w_.Advance(absl::Seconds(1));
  EXPECT_THAT(w_.Events("a"), SizeIs(6)) << "after 0, 1, 3, 7, 15 and 31 s";
}

TEST_F(ControllerTest, KilledJobThatIsRejectedEnds) {
  w_.node->SetFull(true);
  w_.api.before = [&](const std::string& call) {
    if (call == "ReportObservations" && !w_.api.work("a").kill()) w_.api.Kill("a");
    return absl::OkStatus();
  };
  w_.Add("a");
  EXPECT_EQ(w_.api.Outcome("a"), "KILLED 1");
}

// A set of hundreds that no node can hold is reported in portions, and one that can start passes it.
TEST_F(ControllerTest, JobThatCanStartDoesNotStandBehindThoseThatNeverCan) {
  w_.impossible_after = absl::ZeroDuration();
  w_.Start();
  w_.Settle();
  for (int i = 0; i < 450; ++i)
    w_.api.Add(absl::StrCat("large-", i), [](Work& work) { work.mutable_resources()->set_cpus(1000); });
  w_.api.after = [&](const std::string& call) {
    if (call == "ReportObservations" && !w_.api.observations().empty() && w_.api.placements().empty()) {
      w_.api.after = [](const std::string&) { return absl::OkStatus(); };
      w_.api.Add("small");
    }
    return absl::OkStatus();
  };
  std::size_t told_before = 0;
  w_.api.before = [&](const std::string& call) {
    if (call == "CommitPlan" && w_.api.placements().empty()) told_before = w_.api.observations().size();
    return absl::OkStatus();
  };
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("small"), "STARTING 1");
  EXPECT_LE(told_before, 100u);
  for (int i = 0; i < 450; ++i) EXPECT_THAT(w_.Events(absl::StrCat("large-", i)), ElementsAre("IMPOSSIBLE 0"));
}

TEST_F(ControllerTest, AttemptThatApiDoesNotKnowHoldsItsCapacityUntilItHasEnded) {
  internal::v1::StartAttemptRequest stray;
  stray.set_job_uid("stray");
  stray.set_attempt(3);
  stray.mutable_resources()->set_cpus(3);
  stray.add_gpu_uuids("GPU-0");
  ASSERT_TRUE(w_.node->Start(stray).ok());
  w_.cluster.before = [](const std::string& call) {  // it cannot be stopped at present
    return call == "Stop" ? absl::UnavailableError("lost") : absl::OkStatus();
  };
  w_.Add("gpu", [](Work& work) { work.mutable_resources()->set_gpus(1); });
  ASSERT_EQ(w_.api.Outcome("gpu"), "STARTING 1");
  EXPECT_THAT(w_.api.placements().at("gpu").gpu_uuids(), ElementsAre("GPU-1"));
  w_.Add("large", [](Work& work) { work.mutable_resources()->set_cpus(2); });
  EXPECT_EQ(w_.api.Outcome("large"), "PENDING 0");
  w_.cluster.before = [](const std::string&) { return absl::OkStatus(); };
  w_.Advance(absl::Seconds(10));
  EXPECT_EQ(w_.api.Outcome("large"), "STARTING 1");
}

}  // namespace
}  // namespace riseml::scheduler
