// Gangs: placed whole or not at all, started once all members are committed.
#include "services/scheduler/controller/test_world.h"

namespace riseml::scheduler {
namespace {

TEST_F(ControllerTest, GangStartsOnlyWhenAllMembersAreCommittedAndKnowsItsAddresses) {
  const auto member = [](Work& work) { work.set_gang("g"); };
  w_.api.Add("a", member);
  w_.api.Add("b", member);
  w_.Settle();
  for (const char* uid : {"a", "b"}) {
    const auto request = w_.node->request({uid, 1});
    ASSERT_EQ(request.members_size(), 2) << uid;
    EXPECT_EQ(request.members(0).node(), "local");
    EXPECT_EQ(request.members(1).node(), "local");
    EXPECT_EQ(request.members(0).address(), "127.0.0.1");
  }
}

TEST_F(ControllerTest, GangWaitsForMembersThatMayNotRunYet) {
  w_.api.Add("a", [](Work& work) { work.set_gang("g"); });
  w_.api.Add("b", [](Work& work) {
    work.set_gang("g");
    work.set_state(v1::Job::CREATED);
  });
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
  w_.api.Change("b", [](Work& work) { work.set_state(v1::Job::PENDING); });
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 1");
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
}

TEST_F(ControllerTest, GangOfWhichAMemberIsRefusedHoldsNothingAndIsPlacedLater) {
  const auto member = [](Work& work) { work.set_gang("g"); };
  w_.api.Add("a", member);
  w_.api.Add("b", member);
  int commits = 0;
  w_.api.before = [&](const std::string& call) {
    if (call == "CommitPlan" && ++commits == 1) w_.api.Change("b", [](Work& work) { work.set_kill(true); });
    return absl::OkStatus();
  };
  w_.Settle();
  EXPECT_EQ(commits, 1);
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
  EXPECT_EQ(w_.api.Outcome("b"), "PENDING 0");
  EXPECT_EQ(w_.node->total_starts(), 0);
  w_.api.Change("b", [](Work& work) { work.set_kill(false); });
  w_.Advance(absl::Seconds(5));
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 1");
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
}

}  // namespace
}  // namespace riseml::scheduler
