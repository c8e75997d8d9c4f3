#include "services/common/sql/migrate.h"

#include <openssl/sha.h>

#include <pqxx/pqxx>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/sql/pool.h"

namespace riseml::sql {
namespace {

// Any number of ours; every migrator of this product takes the same lock.
constexpr char kLock[] = "SELECT pg_advisory_lock(7246173)";

std::string Checksum(absl::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), sizeof digest));
}

// Number of migrations that are applied; they are the first ones.
absl::StatusOr<std::size_t> Applied(pqxx::transaction_base& tx, const std::vector<Migration>& migrations) {
  const auto rows = tx.exec("SELECT version, checksum FROM schema_migrations ORDER BY version");
  if (rows.size() > migrations.size())
    return Error(Reason::kNewerFormat,
                 absl::StrCat("the database has schema version ", rows.size(), ", this version knows ",
                              migrations.size(), "; install a newer RiseML"));
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i][1].as<std::string>() != Checksum(migrations[i].sql))
      return absl::DataLossError(absl::StrCat("migration ", migrations[i].version, " (", migrations[i].name,
                                              ") was changed after it had been applied"));
  return rows.size();
}

}  // namespace

absl::Status Migrate(const std::string& connection_string, const std::vector<Migration>& migrations) {
  try {
    pqxx::connection connection(connection_string);
    {
      pqxx::nontransaction session(connection);
      session.exec(kLock);
      session.exec("SET client_min_messages = warning");
      session.exec(
          "CREATE TABLE IF NOT EXISTS schema_migrations (version int PRIMARY KEY, name text NOT NULL, checksum text "
          "NOT NULL, "
          "time timestamptz NOT NULL DEFAULT now())");
    }
    std::size_t applied = 0;
    {
      pqxx::work tx(connection);
      RISEML_ASSIGN_OR_RETURN(applied, Applied(tx, migrations));
    }
    for (std::size_t i = applied; i < migrations.size(); ++i) {
      const Migration& migration = migrations[i];
      pqxx::work tx(connection);
      tx.exec(std::string(migration.sql));
      tx.exec_params("INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)", migration.version,
                     std::string(migration.name), Checksum(migration.sql));
      tx.commit();
      LogInfo("migration_applied", {{"version", migration.version}, {"name", migration.name}});
    }
    return absl::OkStatus();
  } catch (const std::exception&) {
    return StatusOfException("migrate the database");
  }
}

absl::Status CheckSchema(const std::string& connection_string, const std::vector<Migration>& migrations) {
  try {
    pqxx::connection connection(connection_string);
    pqxx::work tx(connection);
    if (tx.exec1("SELECT to_regclass('schema_migrations') IS NULL")[0].as<bool>())
      return absl::FailedPreconditionError("the database is empty; run `riseml-api migrate --config FILE` first");
    RISEML_ASSIGN_OR_RETURN(const std::size_t applied, Applied(tx, migrations));
    if (applied < migrations.size())
      return absl::FailedPreconditionError(absl::StrCat("the database has schema version ", applied,
                                                        ", this version needs ", migrations.size(),
                                                        "; run `riseml-api migrate --config FILE`"));
    return absl::OkStatus();
  } catch (const std::exception&) {
    return StatusOfException("read the schema version");
  }
}

}  // namespace riseml::sql
