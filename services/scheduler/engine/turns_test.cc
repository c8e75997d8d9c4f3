// Tests in which order jobs of several users are placed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/scheduler/engine/policy_fixture.h"

namespace riseml::scheduler::engine {
namespace {

using Map = std::map<std::string, std::string>;

TEST(Turns, UserWhoHoldsLessGoesFirst) {
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("n", 4)})
                        .Of("alice")
                        .Uses("n", 2)
                        .Job("old", 2)
                        .Of("bob")
                        .Job("young", 2)
                        .snapshot()),
            (Map{{"young", "n"}, {"old", "NO_CAPACITY"}}));
}

TEST(Turns, OlderJobGoesFirstBetweenUsersWhoHoldAsMuch) {
  EXPECT_EQ(Outcome(Builder().Nodes({MakeNode("n", 2)}).Of("zoe").Job("old", 2).Of("bob").Job("young", 2).snapshot()),
            (Map{{"old", "n"}, {"young", "NO_CAPACITY"}}));
}

TEST(Turns, HigherPriorityGoesFirstWhateverItsUserHolds) {
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("n", 4)})
                        .Of("alice")
                        .Uses("n", 2)
                        .Job("urgent", 2, 0, 1)
                        .Of("bob")
                        .Job("young", 2)
                        .snapshot()),
            (Map{{"urgent", "n"}, {"young", "NO_CAPACITY"}}));
}

// Jobs that nothing but a whole node can hold kept everybody else waiting.
TEST(Turns, LargeJobsOfAUserWhoHoldsMuchDoNotHoldBackASmallOneOfAnother) {
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("n", 4)})
                        .Of("alice")
                        .Uses("n", 3)
                        .Job("a", 4)
                        .Job("b", 4)
                        .Of("bob")
                        .Job("small", 1)
                        .snapshot()),
            (Map{{"small", "n"}, {"a", "NO_CAPACITY"}, {"b", "BEHIND_OLDER_JOB"}}));
}

TEST(Turns, LargeJobOfAUserWhoHoldsNothingIsNotStarved) {
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("n", 4)})
                        .Of("bob")
                        .Uses("n", 2)
                        .Job("next", 1)
                        .Of("alice")
                        .Job("large", 4)
                        .snapshot()),
            (Map{{"large", "NO_CAPACITY"}, {"next", "BEHIND_OLDER_JOB"}}));
}

TEST(Turns, UsersShareWhatOneDecisionGivesOut) {
  Builder builder;
  builder.Nodes({MakeNode("n", 10)}).Of("alice");
  for (int i = 0; i < 20; ++i) builder.Job(absl::StrCat("a", i), 1);
  builder.Of("bob");
  for (int i = 0; i < 20; ++i) builder.Job(absl::StrCat("b", i), 1);
  std::map<char, int> placed;
  for (const auto& [job, outcome] : Outcome(builder.snapshot()))
    if (outcome == "n") ++placed[job[0]];
  EXPECT_EQ(placed, (std::map<char, int>{{'a', 5}, {'b', 5}}));
}

TEST(Turns, LargestShareOfAnyResourceCounts) {
  // Of 8 CPUs and 2 GPUs, Alice holds an eighth and a half; Bob holds three eighths.
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("n", 8, 2)})
                        .Of("alice")
                        .Uses("n", 1, {"n-gpu0"})
                        .Job("a", 4)
                        .Of("bob")
                        .Uses("n", 3)
                        .Job("b", 4)
                        .snapshot()),
            (Map{{"b", "n"}, {"a", "NO_CAPACITY"}}));
}

TEST(Turns, GangCountsForItsUser) {
  EXPECT_EQ(Outcome(Builder()
                        .Nodes({MakeNode("n", 3)})
                        .Of("alice")
                        .Job("g1", 1, 0, 0, "g")
                        .Job("g2", 1, 0, 0, "g")
                        .Job("a", 1)
                        .Of("bob")
                        .Job("b", 1)
                        .snapshot()),
            (Map{{"g1", "n"}, {"g2", "n"}, {"b", "n"}, {"a", "NO_CAPACITY"}}));
}

TEST(Turns, WhatIsGivenBackCountsNoMore) {
  const auto job = [](const std::string& id, std::int64_t sequence, const std::string& user) {
    Job job{.id = id, .sequence = sequence, .user = user};
    job.shape.amount = {2000, kGb, 0};
    return job;
  };
  Engine engine;
  engine.Upsert(MakeNode("n", 4));
  engine.Upsert(Holding{"h", "n", {2000, kGb, 0}, {}, "", false, "alice"});
  engine.Upsert(job("old", 1, "alice"));
  engine.Upsert(job("young", 2, "bob"));
  EXPECT_EQ(engine.Decide().starts.at(0).at(0).job, "young");
  engine.RemoveHolding("h");
  engine.Upsert(Holding{"other", "n", {2000, kGb, 0}, {}, "", false, "carol"});
  EXPECT_EQ(engine.Decide().starts.at(0).at(0).job, "old");
}

}  // namespace
}  // namespace riseml::scheduler::engine
