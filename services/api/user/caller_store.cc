#include "services/api/user/caller_store.h"

#include <pqxx/pqxx>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr char kNoteUse[] = R"sql(
  UPDATE api_keys
  SET last_use_time = now()
  WHERE id IN (SELECT id FROM api_keys WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED)
)sql";

// Columns of UserCaller: uid, name, role.
constexpr char kSelectKey[] = R"sql(
  SELECT u.uid, u.name, u.role, k.secret_hash,
    u.enabled AND k.revoke_time IS NULL AS valid,
    k.expire_time <= now() AS expired,
    k.last_use_time IS NULL OR k.last_use_time < now() - interval '1 minute' AS note_use
  FROM api_keys k
  JOIN users u ON u.uid = k.user_uid
  WHERE k.id = $1
)sql";

constexpr char kSelectOwnerOfAttempt[] = R"sql(
  SELECT u.uid, u.name, u.role
  FROM attempts a
  JOIN jobs j ON j.uid = a.job_uid
  JOIN experiments e ON e.uid = j.experiment_uid
  JOIN users u ON u.uid = e.user_uid
  WHERE a.job_uid = $1 AND a.number = $2
    AND (a.end_time IS NULL OR a.end_time > now() - make_interval(secs => $3))
)sql";

internal::v1::Caller UserCaller(const pqxx::row& row) {
  internal::v1::Caller caller;
  caller.set_kind(internal::v1::Caller::USER);
  caller.set_user_uid(row["uid"].as<std::string>());
  caller.set_user(row["name"].as<std::string>());
  v1::User::Role role = v1::User::ROLE_UNSPECIFIED;
  v1::User::Role_Parse(row["role"].as<std::string>(), &role);
  caller.set_role(role);
  return caller;
}

// Never waits to note the use: a concurrent change of the key counts as a use.
void NoteUse(pqxx::transaction_base& tx, const std::string& key_id) { sql::Query(tx, kNoteUse, key_id); }

absl::Status BadCredential() {
  return Error(Reason::kUnauthenticated, "the API key is not valid; log in with `riseml user login`");
}

}  // namespace

absl::StatusOr<internal::v1::Caller> CallerStore::FindByKey(const ApiKey& key) {
  return db_.Read("authenticate", [&](pqxx::work& tx) -> absl::StatusOr<internal::v1::Caller> {
    const auto rows = sql::Query(tx, kSelectKey, key.id);
    // Does the same work for an unknown id as for a wrong secret.
    const std::string stored = rows.empty() ? std::string(32, '\0') : pqxx::binarystring(rows[0]["secret_hash"]).str();
    if (!EqualSecrets(stored, key.secret_hash) || rows.empty()) return BadCredential();
    const pqxx::row row = rows[0];
    if (!row["valid"].as<bool>()) return BadCredential();
    if (!row["expired"].is_null() && row["expired"].as<bool>())
      return Error(Reason::kKeyExpired, "the API key has expired; ask an admin for `riseml user rotate-key`");
    if (row["note_use"].as<bool>()) NoteUse(tx, key.id);
    internal::v1::Caller caller = UserCaller(row);
    caller.set_key_id(key.id);
    return caller;
  });
}

absl::StatusOr<internal::v1::Caller> CallerStore::FindByName(const std::string& name) {
  return db_.Read("find user", [&](pqxx::work& tx) -> absl::StatusOr<internal::v1::Caller> {
    const auto rows = sql::Query(tx, "SELECT uid, name, role FROM users WHERE name = $1 AND enabled", name);
    if (rows.empty())
      return Error(Reason::kUnauthenticated, absl::StrCat("user ", name, " does not exist, or is disabled"));
    return UserCaller(rows[0]);
  });
}

absl::StatusOr<internal::v1::Caller> CallerStore::FindByAttempt(const AttemptId& id, absl::Duration grace) {
  return db_.Read("authenticate attempt", [&](pqxx::work& tx) -> absl::StatusOr<internal::v1::Caller> {
    const auto rows = sql::Query(tx, kSelectOwnerOfAttempt, id.job_uid, id.attempt, absl::ToDoubleSeconds(grace));
    if (rows.empty())
      return Error(Reason::kUnauthenticated, "the token's attempt does not exist, or has ended too long ago");
    internal::v1::Caller caller = UserCaller(rows[0]);
    caller.set_kind(internal::v1::Caller::JOB);
    caller.clear_role();
    caller.set_job_uid(id.job_uid);
    caller.set_attempt(id.attempt);
    return caller;
  });
}

}  // namespace riseml::api
