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

TEST_F(ControllerTest, MemberThatHasEndedIsNotWaitedFor) {
  const auto member = [](Work& work) { work.set_gang("g"); };
  w_.api.Add("a", member);
  w_.api.Add("b", member);
  w_.Settle();
  for (const char* uid : {"a", "b"}) w_.node->Run({uid, 1});
  w_.node->Exit({"a", 1}, 0);
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "FINISHED 1");
  EXPECT_EQ(w_.api.Outcome("b"), "RUNNING 1");
  w_.node->Exit({"b", 1}, 0);
  w_.api.Change("b", [](Work& work) {  // as after a retry
    work.set_state(v1::Job::PENDING);
    work.clear_attempt();
  });
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 2");
}

TEST_F(ControllerTest, PlansStayWithinTheLimitOfApi) {
  w_.cluster.SetInventory("local", Inventory(2'000));
  for (int i = 0; i < 499; ++i)
    w_.api.Add(absl::StrCat("single-", i), [](Work& work) { work.mutable_resources()->set_memory_bytes(1); });
  for (int i = 0; i < 600; ++i)
    w_.api.Add(absl::StrCat("member-", i), [](Work& work) {
      work.mutable_resources()->set_memory_bytes(1);
      work.set_gang("g");
    });
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("single-0"), "STARTING 1");
  EXPECT_EQ(w_.api.Outcome("member-0"), "STARTING 1");
}

// Two members that need a node each; the second node takes nothing.
class SplitGangTest : public ControllerTest {
 protected:
  void SetUp() override {
    ControllerTest::SetUp();
    second_->SetFull(true);
    w_.cluster.AddNode("second", second_, Inventory(4));
    w_.Settle();
    const auto member = [](Work& work) {
      work.set_gang("g");
      work.mutable_resources()->set_cpus(3);
    };
    w_.api.Add("a", member);
    w_.api.Add("b", member);
    w_.Settle();
  }
  void TearDown() override { w_.cluster.Disconnect("second"); }
  std::string Outcomes() const { return absl::StrCat(w_.api.Outcome("a"), ", ", w_.api.Outcome("b")); }

  std::shared_ptr<FakeNode> second_ = std::make_shared<FakeNode>();
};

TEST_F(SplitGangTest, MembersGiveBackWhatTheyHoldWhenANodeRejectsOne) {
  EXPECT_EQ(Outcomes(), "PENDING 1, STARTING 1");
  w_.node->Run({"b", 1});
  w_.Advance(absl::Seconds(1));
  EXPECT_EQ(Outcomes(), "PENDING 1, RUNNING 1") << "not at once: the watch may be behind";
  EXPECT_EQ(w_.node->stops({"b", 1}), 0);
  second_->SetFull(false);
  w_.cluster.Hear("second");
  w_.Advance(absl::Seconds(1));
  EXPECT_EQ(w_.node->stops({"b", 1}), 1);
  EXPECT_EQ(Outcomes(), "STARTING 2, STARTING 2") << "it has not failed, and starts with the other one";
}

TEST_F(SplitGangTest, EvictionThatWasNotCommittedIsAskedForAgainAlsoByANewLeader) {
  bool refuse = true;
  w_.api.before = [&](const std::string& call) {
    return refuse && call == "CommitPlan" ? absl::UnavailableError("api is away") : absl::OkStatus();
  };
  for (int i = 0; i < 4; ++i) w_.Advance(absl::Seconds(1));
  EXPECT_EQ(Outcomes(), "PENDING 1, STARTING 1");
  EXPECT_EQ(w_.node->stops({"b", 1}), 0);
  refuse = false;
  w_.Start();
  w_.Settle();
  w_.Advance(absl::Seconds(3));
  EXPECT_EQ(w_.node->stops({"b", 1}), 1);
  EXPECT_THAT(w_.Events("b"), testing::Contains("STOPPED 1"));
}

TEST_F(ControllerTest, MembersKnowTheirPlaceInTheirRole) {
  const auto member = [](int index) {
    return [index](Work& work) {
      work.set_gang("g");
      work.set_role("worker");
      work.set_member_index(index);
    };
  };
  w_.api.Add("z", member(0));  // not in the order of their names
  w_.api.Add("a", member(1));
  w_.Settle();
  const auto request = w_.node->request({"a", 1});
  ASSERT_EQ(request.members_size(), 2);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(request.members(i).index(), i);
}

// Every call of the life of a gang fails once: its members start together or not at all, and each runs once.
TEST(GangFaults, AnyCallMayFailOnce) {
  const auto run = [](int at, bool lost_reply) {
    World w;
    w.cluster.AddNode("local", w.node, Inventory(4));
    int calls = 0;
    const auto inject = [&](bool after) {
      return [&, after](const std::string&) -> absl::Status {
        return after == lost_reply && calls++ == at ? absl::UnavailableError("lost") : absl::OkStatus();
      };
    };
    w.api.before = w.cluster.before = inject(false);
    w.api.after = w.cluster.after = inject(true);
    for (const char* uid : {"a", "b"}) w.api.Add(uid, [](Work& work) { work.set_gang("g"); });
    for (int i = 0; i < 10; ++i) {
      w.controller->Pass();
      const bool a = w.api.Outcome("a").starts_with("PENDING"), b = w.api.Outcome("b").starts_with("PENDING");
      EXPECT_EQ(a, b) << "both have a place or neither";
      w.clock.Advance(absl::Seconds(1));
      w.cluster.Hear("local");
    }
    for (const char* uid : {"a", "b"}) {
      EXPECT_EQ(w.node->starts({uid, 1}), 1) << uid;
      EXPECT_EQ(w.node->request({uid, 1}).members_size(), 2);
      w.node->Run({uid, 1});
      w.node->Exit({uid, 1}, 0);
    }
    for (int i = 0; i < 10; ++i) w.Advance(absl::Seconds(1));
    for (const char* uid : {"a", "b"}) EXPECT_EQ(w.api.Outcome(uid), "FINISHED 1");
    EXPECT_EQ(w.node->total_starts(), 2);
    EXPECT_THAT(w.node->List(), testing::IsEmpty());
    return calls;
  };
  for (const bool lost_reply : {false, true}) {
    const int calls = run(-1, lost_reply);
    ASSERT_GT(calls, 8);
    for (int at = 0; at < calls; ++at) {
      SCOPED_TRACE(absl::StrCat("fault at call ", at, lost_reply ? ", lost reply" : ""));
      run(at, lost_reply);
    }
  }
}

}  // namespace
}  // namespace riseml::scheduler
