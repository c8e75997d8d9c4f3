#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <future>
#include <thread>

#include "services/common/base/priority.h"
#include "services/common/base/status.h"
#include "services/common/sql/feed.h"
#include "services/common/sql/migrate.h"
#include "services/common/sql/pool.h"
#include "services/common/sql/statement.h"
#include "services/common/testing/postgres.h"

namespace riseml::sql {
namespace {

constexpr char kFeedTable[] =
    "CREATE TABLE feed (id bigserial PRIMARY KEY, tx xid8 NOT NULL DEFAULT pg_current_xact_id(), root_uid uuid NOT "
    "NULL, "
    "kind text NOT NULL, uid uuid, time timestamptz NOT NULL DEFAULT now())";
constexpr char kInsert[] = "INSERT INTO feed (root_uid, kind) VALUES ('00000000-0000-0000-0000-000000000000', $1)";

class SqlTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new fixtures::Postgres(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  std::string database_ = server_->NewDatabase();
  static fixtures::Postgres* server_;
};
fixtures::Postgres* SqlTest::server_ = nullptr;

absl::StatusOr<int> Count(Pool& pool, const std::string& table) {
  return pool.Transact("count", [&](pqxx::work& tx) -> absl::StatusOr<int> {
    return tx.exec1("SELECT count(*) FROM " + table)[0].as<int>();
  });
}

TEST_F(SqlTest, CommitsOnOkAndRollsBackOnError) {
  Pool pool(database_, 2);
  ASSERT_TRUE(pool.Transact("create",
                            [](pqxx::work& tx) {
                              tx.exec("CREATE TABLE t (x int PRIMARY KEY)");
                              return absl::OkStatus();
                            })
                  .ok());
  const absl::Status refused = pool.Transact("insert", [](pqxx::work& tx) -> absl::Status {
    tx.exec("INSERT INTO t VALUES (1)");
    return Error(Reason::kStale, "changed");
  });
  EXPECT_TRUE(HasReason(refused, Reason::kStale));
  EXPECT_EQ(*Count(pool, "t"), 0);
}

TEST_F(SqlTest, ARollbackIsOverBeforeTheNextTransactionBegins) {
  Pool pool(database_, 1);
  constexpr int kThreads = 4, kTransactions = 200;
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&pool, i] {
      for (int k = 0; k < kTransactions; ++k) {
        const bool fails = (i + k) % 2 == 0;
        const absl::Status status = pool.Transact("select", [&](pqxx::work& tx) -> absl::Status {
          tx.exec1("SELECT 1");
          return fails ? Error(Reason::kNotFound, "nothing there") : absl::OkStatus();
        });
        ASSERT_EQ(status.code(), fails ? absl::StatusCode::kNotFound : absl::StatusCode::kOk) << status;
      }
    });
}

// Priority of the process that serves a pool.
int NicenessOfServer(Pool& pool) {
  const absl::StatusOr<int> pid = pool.Transact(
      "ask", [](pqxx::work& tx) -> absl::StatusOr<int> { return tx.exec1("SELECT pg_backend_pid()")[0].as<int>(); });
  EXPECT_TRUE(pid.ok()) << pid.status();
  return getpriority(PRIO_PROCESS, static_cast<id_t>(*pid));
}

TEST_F(SqlTest, BackgroundServersGiveWay) {
  Pool normal(database_, 1), background(database_, 1, Pool::Priority::kBackground);
  EXPECT_EQ(NicenessOfServer(normal), 0);
  EXPECT_EQ(NicenessOfServer(background), kBackgroundNiceness);
}

TEST_F(SqlTest, UniqueViolationIsAlreadyExists) {
  Pool pool(database_, 1);
  const auto insert = [&] {
    return pool.Transact("insert", [](pqxx::work& tx) {
      tx.exec("CREATE TABLE IF NOT EXISTS t (x int PRIMARY KEY); INSERT INTO t VALUES (1)");
      return absl::OkStatus();
    });
  };
  EXPECT_TRUE(insert().ok());
  EXPECT_EQ(insert().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(SqlTest, SurvivesADatabaseCrash) {
  Pool pool(database_, 2);
  ASSERT_TRUE(Count(pool, "pg_class").ok());
  server_->Crash();
  EXPECT_TRUE(Count(pool, "pg_class").ok());
}

TEST_F(SqlTest, TheFeedShowsEachRowOnceAndWaitsForNoTransaction) {
  pqxx::connection early(database_), late(database_), reader(database_);
  pqxx::nontransaction(early).exec(kFeedTable);
  FeedSnapshot seen;
  const auto read = [&](int limit) {
    pqxx::work tx(reader);
    tx.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    const FeedSnapshot now = SnapshotOfFeed(tx);
    std::vector<std::string> kinds;
    FeedPosition after = seen.done;
    for (std::vector<FeedRow> rows; !(rows = ReadFeed(tx, after, seen, limit)).empty(); after = rows.back().position)
      for (const FeedRow& row : rows) kinds.push_back(row.kind);
    seen = now;
    return kinds;
  };
  seen = [&] {
    pqxx::work tx(reader);
    return SnapshotOfFeed(tx);
  }();
  pqxx::work first(early);
  first.exec_params(kInsert, "first");
  for (const char* kind : {"second", "third"}) {
    pqxx::work other(late);
    other.exec_params(kInsert, kind);
    other.commit();
  }
  EXPECT_THAT(read(1), testing::ElementsAre("second", "third")) << "they wait for the first transaction";
  EXPECT_THAT(read(1), testing::IsEmpty());
  const FeedPosition before_first = seen.done;
  first.commit();
  EXPECT_THAT(read(1), testing::ElementsAre("first")) << "it is missed, or others come again";
  EXPECT_THAT(read(1), testing::IsEmpty());
  pqxx::work tx(reader);
  EXPECT_EQ(ReadFeedOf(tx, "00000000-0000-0000-0000-000000000000", before_first).size(), 3u)
      << "the position covers a row that was not visible";
}

TEST_F(SqlTest, FeedPositionRoundTrip) {
  EXPECT_EQ(*ParseFeedPosition(PrintFeedPosition({5, 7})), (FeedPosition{5, 7}));
  EXPECT_FALSE(ParseFeedPosition("x").ok());
}

TEST_F(SqlTest, MigrationsApplyOnceAlsoWhenTwoRunAtOnce) {
  const std::vector<Migration> migrations = {{1, "one", "CREATE TABLE a (x int)"},
                                             {2, "two", "CREATE TABLE b (x int)"}};
  EXPECT_EQ(CheckSchema(database_, migrations).code(), absl::StatusCode::kFailedPrecondition);
  auto other = std::async(std::launch::async, [&] { return Migrate(database_, migrations); });
  EXPECT_TRUE(Migrate(database_, migrations).ok());
  EXPECT_TRUE(other.get().ok());
  EXPECT_TRUE(CheckSchema(database_, migrations).ok());
  EXPECT_TRUE(HasReason(CheckSchema(database_, {migrations[0]}), Reason::kNewerFormat));
  EXPECT_EQ(Migrate(database_, {{1, "one", "CREATE TABLE a (y int)"}, migrations[1]}).code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(SqlTest, AStatementThatIsPlannedWhileItsTableIsSmallUsesTheIndex) {
  Pool pool(database_, 1);
  std::string plan;
  const absl::Status status = pool.Transact("plan", [&plan](pqxx::work& tx) -> absl::Status {
    tx.exec("CREATE TABLE few (id int PRIMARY KEY); INSERT INTO few VALUES (1), (2), (3); ANALYZE few");
    for (const auto& row : tx.exec("EXPLAIN SELECT * FROM few WHERE id = 2")) plan += row[0].c_str();
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(plan, ::testing::HasSubstr("Index"));
}

TEST_F(SqlTest, ATextWithANulIsRefusedNotCut) {
  Pool pool(database_, 1);
  const absl::Status status = pool.Transact("select", [](pqxx::work& tx) -> absl::Status {
    QueryRow(tx, "SELECT $1::text", std::string("a\0b", 3));
    return absl::OkStatus();
  });
  EXPECT_TRUE(HasReason(status, Reason::kInvalidArgument)) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("NUL"));
}

TEST_F(SqlTest, FailedMigrationLeavesNothing) {
  EXPECT_FALSE(Migrate(database_, {{1, "broken", "CREATE TABLE a (x int); SELECT nonsense"}}).ok());
  EXPECT_TRUE(Migrate(database_, {{1, "mended", "CREATE TABLE a (x int)"}}).ok());
}

}  // namespace
}  // namespace riseml::sql
