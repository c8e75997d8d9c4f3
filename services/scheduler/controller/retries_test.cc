// Jobs that have failed and are tried again: not before their time, and rather elsewhere.
#include "services/common/rpc/proto_time.h"
#include "services/scheduler/controller/test_world.h"

namespace riseml::scheduler {
namespace {

TEST_F(ControllerTest, JobThatIsTriedAgainWaitsForItsTime) {
  w_.api.Add("a", [&](Work& work) { *work.mutable_not_before() = ToProtoTime(w_.clock.Now() + absl::Seconds(10)); });
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
  EXPECT_EQ(w_.api.work("a").wait_reason(), "RETRY");
  w_.Add("b");
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1") << "it holds back nobody";
  w_.Advance(absl::Seconds(9));
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
  w_.Advance(absl::Seconds(1));
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 1");
}

TEST_F(ControllerTest, JobIsTriedAgainOnAnotherNode) {
  const auto second = std::make_shared<FakeNode>();
  w_.cluster.AddNode("second", second, Inventory(8, 2));
  w_.Settle();
  w_.Add("a");
  EXPECT_EQ(w_.api.placements().at("a").node(), "local") << "the one it leaves the least on";
  w_.Add("b", [](Work& work) { work.add_avoided_nodes("local"); });
  EXPECT_EQ(w_.api.placements().at("b").node(), "second");
  w_.cluster.Disconnect("second");
}

}  // namespace
}  // namespace riseml::scheduler
