// Leadership, restarts, and faults at every call.
#include "services/scheduler/controller/test_world.h"

namespace riseml::scheduler {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(ControllerTest, LeadershipIsRenewedInTheSameEpoch) {
  int acquisitions = 0;
  w_.api.before = [&](const std::string& call) {
    acquisitions += call == "AcquireLeadership";
    return absl::OkStatus();
  };
  for (int i = 0; i < 15; ++i) w_.Advance(absl::Seconds(1));
  EXPECT_EQ(acquisitions, 3);
  w_.Add("a");
  EXPECT_EQ(w_.node->request({"a", 1}).epoch(), 1);
}

TEST_F(ControllerTest, AfterLosingTheLeadershipItStartsFromTheBeginning) {
  w_.Add("a");
  w_.api.Usurp();
  w_.api.Add("b");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("b"), "STARTING 1");
  EXPECT_EQ(w_.node->starts({"a", 1}), 1);
  EXPECT_EQ(w_.node->request({"b", 1}).epoch(), 3);
}

TEST_F(ControllerTest, ADatabaseThatWasRestoredIsBelievedAlthoughItsVersionsAreOlder) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  ASSERT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  w_.api.Change("a", [](Work& work) {
    work.set_state(v1::Job::PENDING);
    work.clear_attempt();
    work.set_version(0);
  });
  w_.api.Relist();  // its resume token is ahead of the database
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "STARTING 2");
  EXPECT_EQ(w_.node->starts({"a", 2}), 1);
}

TEST_F(ControllerTest, WhileOthersLeadItDoesNothing) {
  w_.api.Usurp();
  w_.api.before = [](const std::string& call) {
    return call == "AcquireLeadership" ? Error(Reason::kNotLeader, "somebody else leads") : absl::OkStatus();
  };
  w_.api.Add("a");
  w_.Settle();
  w_.Advance(absl::Seconds(20));
  EXPECT_EQ(w_.api.Outcome("a"), "PENDING 0");
  internal::v1::StartAttemptRequest stray;
  stray.set_job_uid("stray");
  stray.set_attempt(1);
  ASSERT_TRUE(w_.node->Start(stray).ok());
  w_.Settle();
  EXPECT_EQ(w_.node->List().size(), 1u) << "not its business";
}

TEST_F(ControllerTest, WithoutApiItActsNoLongerThanItsLease) {
  w_.api.before = [](const std::string&) { return absl::UnavailableError("away"); };
  for (int i = 0; i < 20; ++i) w_.Advance(absl::Seconds(1));
  internal::v1::StartAttemptRequest stray;
  stray.set_job_uid("stray");
  stray.set_attempt(1);
  ASSERT_TRUE(w_.node->Start(stray).ok());
  w_.Settle();
  EXPECT_EQ(w_.node->List().size(), 1u);
  w_.api.before = [](const std::string&) { return absl::OkStatus(); };
  for (int i = 0; i < 3; ++i) w_.Advance(absl::Seconds(1));
  EXPECT_THAT(w_.node->List(), IsEmpty());
}

TEST_F(ControllerTest, RestartStartsACommittedAttemptTheNodeDoesNotKnow) {
  w_.cluster.before = [](const std::string&) { return absl::UnavailableError("away"); };
  w_.Add("a");
  w_.cluster.before = [](const std::string&) { return absl::OkStatus(); };
  w_.Start();
  w_.Settle();
  EXPECT_EQ(w_.node->starts({"a", 1}), 1);
  EXPECT_EQ(w_.node->request({"a", 1}).token(), "token-a-1");
}

TEST_F(ControllerTest, RestartWhileTheNodeIsAwayLosesNothingAndStartsNothing) {
  w_.Add("a");
  w_.node->Run({"a", 1});
  w_.Settle();
  w_.cluster.Disconnect("local");
  w_.Start();
  w_.Settle();
  w_.clock.Advance(absl::Seconds(60));
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  w_.cluster.Connect("local");
  w_.Settle();
  EXPECT_EQ(w_.api.Outcome("a"), "RUNNING 1");
  EXPECT_EQ(w_.node->total_starts(), 1);
}

TEST_F(ControllerTest, CapacityOfCommittedAttemptsIsNotGivenTwiceAfterARestart) {
  w_.Add("a", [](Work& work) { work.mutable_resources()->set_gpus(2); });
  w_.Start();
  w_.Add("b", [](Work& work) { work.mutable_resources()->set_gpus(1); });
  EXPECT_EQ(w_.api.Outcome("b"), "PENDING 0");
}

// Every call of a whole story fails once: before it takes effect, after it did, and with the process killed right
// there.

struct Fault {
  int at;
  bool lost_reply;  // takes effect
  bool crash;
};

class Faults : public testing::TestWithParam<std::tuple<bool, bool>> {};

// Runs a build, a job that needs it, a job that is killed and a job that fails. Returns the number of calls seen.
int RunStory(const Fault& fault) {
  World w;
  w.cluster.AddNode("local", w.node, Inventory(4));
  int calls = 0;
  bool crash = false;
  const auto inject = [&](bool after) {
    return [&, after](const std::string&) -> absl::Status {
      if (after != fault.lost_reply) return crash ? absl::UnavailableError("crashed") : absl::OkStatus();
      if (crash) return absl::UnavailableError("crashed");
      if (calls++ != fault.at) return absl::OkStatus();
      crash = fault.crash;
      return absl::UnavailableError("lost");
    };
  };
  w.api.before = w.cluster.before = inject(false);
  w.api.after = w.cluster.after = inject(true);
  const auto settle = [&] {
    for (int i = 0; i < 12; ++i) {
      w.controller->Pass();
      if (crash) {
        w.Start();
        crash = false;
      }
      w.clock.Advance(absl::Seconds(1));
      w.cluster.Hear("local");
    }
  };
  const auto exit = [&](const std::string& uid, int code) {
    const AttemptId key{uid, 1};
    ASSERT_EQ(w.node->starts(key), 1) << uid;
    w.node->Run(key);
    settle();
    w.node->Exit(key, code);
    settle();
  };
  w.api.Add("build", World::Build("x"));
  w.api.Add("killed");
  w.api.Add("bad");
  settle();
  exit("build", 0);
  w.environments.ready.insert("key-x");
  w.api.Add("train", World::Install("x"));
  settle();
  exit("train", 0);
  w.api.Kill("killed");
  settle();
  exit("bad", 1);
  settle();

  EXPECT_EQ(w.api.Outcome("build"), "FINISHED 1");
  EXPECT_EQ(w.api.Outcome("train"), "FINISHED 1");
  EXPECT_EQ(w.api.Outcome("killed"), "KILLED 1");
  EXPECT_EQ(w.api.Outcome("bad"), "FAILED 1");
  EXPECT_EQ(w.node->total_starts(), 4);
  EXPECT_THAT(w.node->List(), IsEmpty());
  return calls;
}

TEST_P(Faults, AnyCallMayFailOnce) {
  const auto [lost_reply, crash] = GetParam();
  const int calls = RunStory({-1, lost_reply, crash});
  ASSERT_GT(calls, 15);
  for (int at = 0; at < calls; ++at) {
    SCOPED_TRACE(absl::StrCat("fault at call ", at));
    RunStory({at, lost_reply, crash});
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Faults, testing::Combine(testing::Bool(), testing::Bool()), [](const auto& info) {
  return absl::StrCat(std::get<0>(info.param) ? "LostReply" : "LostRequest", std::get<1>(info.param) ? "AndCrash" : "");
});

}  // namespace
}  // namespace riseml::scheduler
