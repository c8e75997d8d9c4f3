// Upkeep of the audit log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/api/testing/api_fixture.h"
#include "services/api/user/audit_log.h"

namespace riseml::api {
namespace {

using testing::HasSubstr;

class AuditTest : public ApiTestBase {
 protected:
  void SetUp() override {
    ApiTestBase::SetUp();
    db_.emplace(api_->database());
    Execute("SELECT make_audit_month(now() - interval '1 month')");
    for (int i = 0; i < 3; ++i) Create(kSingle);
    Execute("DELETE FROM audit_chain");  // of another test, which may have broken it
    Execute("UPDATE audit SET time = time - interval '10 minutes' WHERE time > now() - interval '5 minutes'");
  }
  pqxx::result Execute(const std::string& statement) {
    pqxx::work tx(*db_);
    pqxx::result rows = tx.exec(statement);
    tx.commit();
    return rows;
  }
  template <class Body>
  auto With(Body&& body) {
    pqxx::work tx(*db_);
    auto result = body(tx);
    tx.commit();
    return result;
  }
  std::int64_t Seal() { return With(SealAudit); }
  absl::StatusOr<AuditReport> Verify() { return With(VerifyAudit); }
  void Drop() {
    With([](pqxx::work& tx) {
      DropOldAudit(tx);
      return true;
    });
  }

  std::optional<pqxx::connection> db_;
};

TEST_F(AuditTest, ChainCoversEveryRowOnce) {
  EXPECT_GE(Seal(), 3);
  EXPECT_EQ(Seal(), 0);
  const auto report = Verify();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->rows,
            Execute("SELECT count(*) FROM audit WHERE time < now() - interval '5 minutes'")[0][0].as<int>());
  EXPECT_EQ(report->hash.size(), 64u);
  Create(kSingle);
  EXPECT_EQ(Seal(), 0) << "a transaction may still add rows of that time";
  EXPECT_EQ(Verify()->unsealed, report->unsealed + 1);
}

TEST_F(AuditTest, WhoeverChangesARowBreaksTheChain) {
  Seal();
  const auto broken = [this](const std::string& change, const std::string& undo) {
    Execute(change);
    const absl::Status status = Verify().status();
    Execute(undo);
    EXPECT_TRUE(Verify().ok()) << undo;
    return status;
  };
  const std::string last = "(SELECT max(id) FROM audit WHERE time < now() - interval '5 minutes')";
  const absl::Status changed = broken("UPDATE audit SET actor = actor || 'x' WHERE id = " + last,
                                      "UPDATE audit SET actor = rtrim(actor, 'x') WHERE id = " + last);
  EXPECT_EQ(changed.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(changed.message()), HasSubstr("were changed, removed or added"));
  EXPECT_FALSE(
      broken("CREATE TABLE taken AS SELECT * FROM audit WHERE id = " + last + "; DELETE FROM audit WHERE id = " + last,
             "INSERT INTO audit SELECT * FROM taken; DROP TABLE taken")
          .ok());
  EXPECT_FALSE(
      broken(
          "INSERT INTO audit SELECT -1, time, actor, key_id, peer, method, object, request_id FROM audit WHERE id = " +
              last,
          "DELETE FROM audit WHERE id = -1")
          .ok());
}

TEST_F(AuditTest, ServicesThatActForUsersArePartOfTheChain) {
  const std::string row = "(SELECT max(id) FROM audit WHERE time < now() - interval '5 minutes')";
  Execute("UPDATE audit SET via = 'web' WHERE id = " + row);
  Seal();
  EXPECT_TRUE(Verify().ok());
  for (const std::string& other : {"", "gitsync"}) {
    Execute("UPDATE audit SET via = '" + other + "' WHERE id = " + row);
    EXPECT_EQ(Verify().status().code(), absl::StatusCode::kDataLoss) << other;
  }
}

// The hash of rows without such a service is the one that older versions have written.
TEST_F(AuditTest, LinksOfOlderVersionsHold) {
  Execute("TRUNCATE audit; SELECT make_audit_month('2026-01-02Z')");
  Execute(
      "INSERT INTO audit (id, time, actor, key_id, peer, method, object, request_id) VALUES "
      "(7, '2026-01-02 03:04:05.678901Z', 'paul', 'k', 'p', 'm', 'o', 'r')");
  EXPECT_EQ(Seal(), 1);
  EXPECT_EQ(
      Verify()->hash,
      Execute("SELECT encode(sha256('1:717:1767323045.6789014:paul1:k1:p1:m1:o1:r'), 'hex')")[0][0].as<std::string>());
}

TEST_F(AuditTest, OldMonthsGoAndTheRestOfTheChainHolds) {
  Execute("SELECT make_audit_month(now() - make_interval(months => m)) FROM generate_series(1, 20) m");
  const auto add = [this](int months) {
    Execute("INSERT INTO audit SELECT nextval('audit_id_seq'), now() - make_interval(months => " +
            std::to_string(months) + "), 'a', '', '', 'm', 'o', '' FROM generate_series(1, 5)");
  };
  for (const int months : {20, 19, 13, 3}) add(months);
  Seal();
  const std::int64_t rows = Verify()->rows;
  const std::string hash = Verify()->hash;
  Drop();
  const auto report = Verify();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->rows, rows - 10) << "those of 20 and 19 months ago";
  EXPECT_EQ(report->hash, hash);
  EXPECT_EQ(Execute("SELECT count(*) FROM audit WHERE time < now() - interval '14 months'")[0][0].as<int>(), 0);
  Execute("DELETE FROM audit WHERE time < now() - interval '12 months'");
  EXPECT_FALSE(Verify().ok());
}

}  // namespace
}  // namespace riseml::api
