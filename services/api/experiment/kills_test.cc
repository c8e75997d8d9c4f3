// Kills of sets of which no transaction touches all children.
#include "services/api/experiment/kills.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_replace.h"
#include "services/api/testing/api_fixture.h"

namespace riseml::api {
namespace {

using internal::v1::Observation;

constexpr int kChildren = 1200;  // three pieces

class KillsTest : public ApiTestBase {
 protected:
  v1::Experiment CreateLargeSet() {
    return Create(
        absl::StrReplaceAll(kSet, {{"{lr: [1e-3, 1e-4, 1e-5]}", "{lr: {range: {min: 1, max: 1200, step: 1}}}"},
                                   {"concurrency: 2", "concurrency: 3"}}));
  }
  // As if the process had ended after it.
  void KillFirstPiece(const v1::Experiment& set) {
    const absl::Status status = db_.Write("kill the first piece", [&](pqxx::work& tx) -> absl::Status {
      if (!LockRoot(tx, set.uid())) return absl::NotFoundError("the set is gone");
      Kill(tx, set.uid(), kFirstPiece, user_);
      return absl::OkStatus();
    });
    ASSERT_TRUE(status.ok()) << status;
  }
  int ChildrenIn(const v1::Experiment& set, const std::string& state) {
    const auto states = Get(set.name()).child_states();
    const auto found = states.find(state);
    return found == states.end() ? 0 : found->second;
  }
  std::string JobOf(const v1::Experiment& set, int child) {
    const v1::Experiment experiment = Get(set.name() + "." + std::to_string(child));
    return experiment.jobs(experiment.jobs_size() - 1).uid();
  }

  sql::Pool pool_{api_->database(), 1};
  WatchCache feed_{pool_};
  Database db_{pool_, feed_};
};

TEST_F(KillsTest, ALargeSetIsKilledToItsLastChild) {
  const v1::Experiment set = CreateLargeSet();
  const std::string running = JobOf(set, 2);
  ASSERT_EQ(api_->Place(running)->attempt(), 1);
  const auto killed = api_->Kill(key_, set.name());
  ASSERT_TRUE(killed.ok()) << killed.status();
  EXPECT_EQ(killed->child_states().at("KILLED"), kChildren - 1);
  EXPECT_EQ(killed->state(), v1::Experiment::STARTING) << "one still runs";
  EXPECT_TRUE(api_->Report(running, 1, Observation::STOPPED).ok());
  const v1::Experiment after = Get(set.name());
  EXPECT_EQ(after.state(), v1::Experiment::KILLED);
  EXPECT_EQ(after.child_states().at("KILLED"), kChildren);
  EXPECT_EQ(Get(set.name() + ".1200").jobs(0).message(), "killed by " + user_);
}

TEST_F(KillsTest, AKillThatWasCutOffGoesOn) {
  const v1::Experiment set = CreateLargeSet();
  KillFirstPiece(set);
  EXPECT_EQ(ChildrenIn(set, "KILLED"), kChildrenKilledAtOnce);
  EXPECT_EQ(ChildrenIn(set, "CREATED"), kChildren - kChildrenKilledAtOnce) << "no further child starts";
  EXPECT_EQ(Get(set.name()).desired_state(), v1::Experiment::DESIRED_KILLED);
  const absl::Status resumed = ResumeKills(db_);
  ASSERT_TRUE(resumed.ok()) << resumed;
  const v1::Experiment after = Get(set.name());
  EXPECT_EQ(after.state(), v1::Experiment::KILLED);
  EXPECT_EQ(after.child_states().at("KILLED"), kChildren);
  EXPECT_EQ(Get(set.name() + ".1200").jobs(0).message(), "killed by " + user_);
}

TEST_F(KillsTest, ASecondKillGoesOnWithTheFirst) {
  const v1::Experiment set = CreateLargeSet();
  KillFirstPiece(set);
  const auto killed = api_->Kill(key_, set.name());
  ASSERT_TRUE(killed.ok()) << killed.status();
  EXPECT_EQ(killed->state(), v1::Experiment::KILLED);
}

}  // namespace
}  // namespace riseml::api
