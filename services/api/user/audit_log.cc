#include "services/api/user/audit_log.h"

#include <openssl/sha.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr int kRowsOfLink = 1'000, kLinksAtOnce = 100;
constexpr int kColumns = 8, kViaColumn = 9;  // of kSelectBehind

struct Link {
  std::int64_t number = 0;
  std::string until_time = "-infinity";  // as PostgreSQL prints it, with all digits
  std::int64_t until_id = 0;
  std::int64_t rows = 0;
  std::string hash;  // raw
};

Link ToLink(const pqxx::row& row) {
  return {row["number"].as<std::int64_t>(), row["until_time"].as<std::string>(), row["until_id"].as<std::int64_t>(),
          row["rows"].as<std::int64_t>(), pqxx::binarystring(row["hash"]).str()};
}

// Hashes each field with its length in front, so that no two rows have the same text. Rows from before the column "via"
// existed have it empty, and the same text as then.
std::string HashOf(const std::string& before, const pqxx::result& rows) {
  std::string text = before;
  for (const auto& row : rows) {
    for (int i = 0; i < kColumns; ++i) absl::StrAppend(&text, row[i].size(), ":", row[i].c_str());
    const auto via = row[kViaColumn];
    if (via.size() > 0) absl::StrAppend(&text, "via ", via.size(), ":", via.c_str());
  }
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

// Old enough rows of one month: that of the first row.
constexpr char kOldEnough[] = R"sql(
    time < now() - interval '5 minutes'
    AND time < (
      date_trunc('month', (SELECT min(time) FROM audit WHERE (time, id) > ($1::timestamptz, $2)) AT TIME ZONE 'UTC')
      + interval '1 month') AT TIME ZONE 'UTC'
)sql";

constexpr char kSelectBehind[] = R"sql(
  SELECT id, extract(epoch FROM time)::numeric(20, 6), actor, key_id, peer, method, object, request_id, time, via
  FROM audit
  WHERE (time, id) > ($1::timestamptz, $2)
    AND )sql";

// Selects the rows behind a link, in order.
std::string RowsBehind(absl::string_view bound) {
  return absl::StrCat(kSelectBehind, bound, " ORDER BY time, id LIMIT $3");
}

std::optional<Link> LastLink(pqxx::transaction_base& tx) {
  const auto rows =
      sql::Query(tx, "SELECT number, until_time, until_id, rows, hash FROM audit_chain ORDER BY number DESC LIMIT 1");
  if (rows.empty()) return std::nullopt;
  return ToLink(rows[0]);
}

}  // namespace

void MakeAuditMonths(pqxx::transaction_base& tx) {
  tx.exec("SELECT make_audit_month(now() + make_interval(months => ahead)) FROM generate_series(0, 2) ahead");
}

void DropOldAudit(pqxx::transaction_base& tx) {
  const pqxx::row month = sql::QueryRow(
      tx, "SELECT to_char((now() - make_interval(months => $1)) AT TIME ZONE 'UTC', 'YYYY_MM')", kAuditMonths);
  const std::string newest = absl::StrCat("audit_", month[0].c_str());
  for (const auto& row : sql::Query(
           tx, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit'::regclass ORDER BY 1")) {
    const std::string name = row[0].as<std::string>();
    if (name < newest) tx.exec(absl::StrCat("DROP TABLE ", tx.quote_name(name)));
  }
  // Keeps the newest link without rows: its hash starts the next one.
  tx.exec("UPDATE audit_chain SET rows = 0 WHERE rows > 0 AND until_time < (SELECT min(time) FROM audit)");
  tx.exec("DELETE FROM audit_chain WHERE number < (SELECT max(number) FROM audit_chain WHERE rows = 0)");
}

std::int64_t SealAudit(pqxx::transaction_base& tx) {
  if (!sql::QueryRow(tx, "SELECT pg_try_advisory_xact_lock(hashtext('riseml audit chain'))")[0].as<bool>()) return 0;
  Link last = LastLink(tx).value_or(Link());
  std::int64_t sealed = 0;
  for (int i = 0; i < kLinksAtOnce; ++i) {
    const auto rows = sql::Query(tx, RowsBehind(kOldEnough), last.until_time, last.until_id, kRowsOfLink);
    if (rows.empty()) break;
    const auto& end = rows[rows.size() - 1];
    last = {last.number + 1, end["time"].as<std::string>(), end["id"].as<std::int64_t>(),
            static_cast<std::int64_t>(rows.size()), HashOf(last.hash, rows)};
    sql::Query(tx, "INSERT INTO audit_chain (number, until_time, until_id, rows, hash) VALUES ($1, $2, $3, $4, $5)",
               last.number, last.until_time, last.until_id, last.rows, pqxx::binarystring(last.hash));
    sealed += last.rows;
  }
  return sealed;
}

absl::StatusOr<AuditReport> VerifyAudit(pqxx::transaction_base& tx) {
  AuditReport report;
  Link before;
  for (const auto& row : tx.exec("SELECT number, until_time, until_id, rows, hash FROM audit_chain ORDER BY number")) {
    const Link link = ToLink(row);
    if (link.rows > 0) {
      const auto rows = sql::Query(tx, RowsBehind("(time, id) <= ($4::timestamptz, $5)"), before.until_time,
                                   before.until_id, link.rows + 1, link.until_time, link.until_id);
      const bool follows = link.number == before.number + 1;
      if (!follows || HashOf(before.hash, rows) != link.hash)
        return absl::DataLossError(absl::StrCat("link ", link.number, " of the audit log is broken: rows from ",
                                                before.until_time, " to ", link.until_time,
                                                " were changed, removed or added"));
      report.rows += link.rows;
    }
    ++report.links;
    before = link;
  }
  report.hash = absl::BytesToHexString(before.hash);
  report.unsealed = sql::QueryRow(tx, "SELECT count(*) FROM audit WHERE (time, id) > ($1::timestamptz, $2)",
                                  before.until_time, before.until_id)[0]
                        .as<std::int64_t>();
  return report;
}

}  // namespace riseml::api
