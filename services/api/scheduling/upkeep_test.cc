// What goes by itself, and what stays.
#include "services/api/scheduling/upkeep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "services/api/testing/api_fixture.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"

namespace riseml::api {
namespace {

class UpkeepTest : public ApiTestBase {
 protected:
  void SetUp() override {
    ApiTestBase::SetUp();
    db_.emplace(api_->database());
  }
  pqxx::result Execute(const std::string& statement) {
    pqxx::work tx(*db_);
    pqxx::result rows = tx.exec(statement);
    tx.commit();
    return rows;
  }
  int Count(const std::string& rows) { return Execute("SELECT count(*) FROM " + rows)[0][0].as<int>(); }
  bool PruneOnce() {
    pqxx::work tx(*db_);
    const bool done = Prune(tx);
    tx.commit();
    return done;
  }
  v1::Experiment Finished(const std::string& yaml) {
    const v1::Experiment e = Create(yaml);
    if (e.jobs_size() > 0) api_->RunToEnd(e.jobs(0).uid());
    return Get(e.name());
  }
  void Age(const v1::Experiment& e, const std::string& created, const std::string& ended) {
    Execute("UPDATE experiments SET create_time = now() - interval '" + created + "', end_time = now() - interval '" +
            ended + "' WHERE uid = '" + e.uid() + "' AND end_time IS NOT NULL");
    Execute("UPDATE experiments SET create_time = now() - interval '" + created + "' WHERE uid = '" + e.uid() + "'");
  }
  int Transitions(const v1::Experiment& e) { return Count("transitions WHERE root_uid = '" + e.uid() + "'"); }

  std::optional<pqxx::connection> db_;
};

TEST_F(UpkeepTest, TheHistoryOfWhatEndedLongAgoGoesAndItsStatesStay) {
  const v1::Experiment old = Finished(kSingle), recent = Finished(kSingle), running = Create(kSingle);
  Age(old, "100 days", "91 days");
  Age(recent, "100 days", "89 days");
  Age(running, "100 days", "0 days");
  const int of_recent = Transitions(recent), of_running = Transitions(running);
  ASSERT_GT(Transitions(old), 0);
  const v1::Experiment before = Get(old.name());
  EXPECT_TRUE(PruneOnce());
  EXPECT_EQ(Transitions(old), 0);
  EXPECT_EQ(Transitions(recent), of_recent);
  EXPECT_EQ(Transitions(running), of_running);
  EXPECT_GT(of_running, 0);
  EXPECT_EQ(Get(old.name()).SerializeAsString(), before.SerializeAsString());
}

TEST_F(UpkeepTest, ALongHistoryGoesInSeveralPieces) {
  const v1::Experiment old = Finished(kSingle);
  Age(old, "100 days", "91 days");
  Execute("INSERT INTO transitions (root_uid, object, from_state, to_state, actor) SELECT '" + old.uid() +
          "', '1', 'A', 'B', 'api' FROM generate_series(1, 30000)");
  EXPECT_FALSE(PruneOnce());
  EXPECT_GT(Transitions(old), 0);
  EXPECT_TRUE(PruneOnce());
  EXPECT_EQ(Transitions(old), 0);
}

TEST_F(UpkeepTest, AChangeStaysInTheFeedForTwoHours) {
  const v1::Experiment e = Create(kSingle);
  const std::string rows = "feed WHERE root_uid = '" + e.uid() + "'";
  const int all = Count(rows);
  ASSERT_GT(all, 0);
  Execute("UPDATE feed SET time = now() - interval '119 minutes' WHERE root_uid = '" + e.uid() + "'");
  PruneOnce();
  EXPECT_EQ(Count(rows), all);
  Execute("UPDATE feed SET time = now() - interval '121 minutes' WHERE root_uid = '" + e.uid() + "'");
  PruneOnce();
  EXPECT_EQ(Count(rows), 0);
}

TEST_F(UpkeepTest, ARequestIsRememberedForTwoDays) {
  const std::string id = NewUuid();
  const auto first = api_->Create(key_, user_, kSingle, id);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto age = [&](const std::string& hours) {
    Execute("UPDATE requests SET create_time = now() - interval '" + hours + " hours' WHERE request_id = '" + id + "'");
    PruneOnce();
  };
  age("47");
  EXPECT_EQ(api_->Create(key_, user_, kSingle, id)->name(), first->name());
  age("49");
  EXPECT_EQ(Count("requests WHERE request_id = '" + id + "'"), 0);
  EXPECT_NE(api_->Create(key_, user_, kSingle, id)->name(), first->name());
}

}  // namespace
}  // namespace riseml::api
