// Nodes that do not take an attempt, and capacity that is not free although nobody wants what holds it.
#include "services/scheduler/controller/snapshot_of.h"
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

TEST(StrayAttempts, HoldCapacityUntilTheyHaveEnded) {
  State state;
  state.Apply(WorkBatch{.synced = true});
  ClusterChanges changes{.version = 1};
  AttemptOnNode stray{.node = "local"};
  stray.status.set_job_uid("stray");
  stray.status.set_attempt(3);
  stray.status.set_phase(internal::v1::AttemptStatus::RUNNING);
  stray.status.mutable_resources()->set_cpus(2);
  stray.status.add_gpu_uuids("GPU-1");
  changes.attempts = {stray};
  state.Apply(changes);
  state.NoteLive("stray");
  const engine::Snapshot snapshot = SnapshotOf(state, {});
  ASSERT_THAT(snapshot.running, SizeIs(1));
  EXPECT_EQ(snapshot.running[0].node, "local");
  EXPECT_EQ(snapshot.running[0].amount.cpu_millis, 2000);
  EXPECT_THAT(snapshot.running[0].gpu_uuids, ElementsAre("GPU-1"));

  stray.status.set_phase(internal::v1::AttemptStatus::ENDED);
  changes.attempts = {stray};
  state.Apply(changes);
  state.NoteLive("stray");
  EXPECT_THAT(SnapshotOf(state, {}).running, IsEmpty());
}

}  // namespace
}  // namespace riseml::scheduler
