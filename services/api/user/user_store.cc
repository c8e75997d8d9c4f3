#include "services/api/user/user_store.h"

#include <optional>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/api/data/page.h"
#include "services/api/data/records.h"
#include "services/api/data/views.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr std::size_t kEtagDigits = 16;
constexpr char kUserNameRule[] = "must be 2 to 39 letters, digits and hyphens, with no hyphen at its ends";

absl::Status CheckEmail(absl::string_view email) {
  if (absl::StrContains(email, '@') && email.size() <= 254 && email.find('\0') == absl::string_view::npos)
    return absl::OkStatus();
  return InvalidField("email", absl::StrCat("'", email, "' must contain an @ and at most 254 characters"));
}

absl::Status CheckRole(v1::User::Role role) {
  if (v1::User::Role_IsValid(role) && role != v1::User::ROLE_UNSPECIFIED) return absl::OkStatus();
  return InvalidField("role", "must be one of VIEWER, USER, ADMIN");
}

constexpr char kSelectUsers[] = R"sql(
  SELECT uid, name, email, role, enabled, experiments,
    COALESCE((SELECT stored_bytes FROM user_usage WHERE user_uid = users.uid), 0) AS stored_bytes,
    (extract(epoch FROM create_time) * 1000000)::bigint AS create_micros
  FROM users
)sql";

constexpr char kSelectKeys[] = R"sql(
  SELECT id,
    (extract(epoch FROM create_time) * 1000000)::bigint AS create_micros,
    (extract(epoch FROM expire_time) * 1000000)::bigint AS expire_micros,
    (extract(epoch FROM last_use_time) * 1000000)::bigint AS last_use_micros
  FROM api_keys
  WHERE user_uid = $1 AND revoke_time IS NULL AND (expire_time IS NULL OR expire_time > now())
  ORDER BY create_time
)sql";

v1::User ToUser(const pqxx::row& row, const UserLimits& limits) {
  v1::User user;
  user.set_uid(row["uid"].as<std::string>());
  user.set_name(Print(UserName{row["name"].as<std::string>()}));
  user.set_email(row["email"].as<std::string>());
  v1::User::Role role = v1::User::ROLE_UNSPECIFIED;
  v1::User::Role_Parse(row["role"].as<std::string>(), &role);
  user.set_role(role);
  user.set_enabled(row["enabled"].as<bool>());
  *user.mutable_create_time() = ToTimestamp(row["create_micros"].as<std::int64_t>());
  user.set_stored_bytes(row["stored_bytes"].as<std::int64_t>());
  user.set_experiment_count(row["experiments"].as<std::int64_t>());
  user.set_stored_bytes_limit(limits.bytes);
  user.set_experiment_limit(limits.experiments);
  v1::UpdateUserRequest changeable;
  changeable.set_email(user.email());
  changeable.set_role(user.role());
  changeable.set_enabled(user.enabled());
  user.set_etag(absl::BytesToHexString(ArgumentHash(changeable)).substr(0, kEtagDigits));
  return user;
}

void AddKeys(pqxx::transaction_base& tx, v1::User* user) {
  for (const auto& row : sql::Query(tx, kSelectKeys, user->uid())) {
    v1::ApiKey* key = user->add_api_keys();
    key->set_id(row["id"].as<std::string>());
    key->set_prefix(KeyPrefix(key->id()));
    *key->mutable_create_time() = ToTimestamp(row["create_micros"].as<std::int64_t>());
    if (const auto expires = row["expire_micros"]; !expires.is_null())
      *key->mutable_expire_time() = ToTimestamp(expires.as<std::int64_t>());
    if (const auto used = row["last_use_micros"]; !used.is_null())
      *key->mutable_last_use_time() = ToTimestamp(used.as<std::int64_t>());
  }
}

enum class RowLock { kNone, kUpdate };

// A user the caller may see: himself, or anybody for admins. RowLock::kUpdate locks the row for those who change it.
absl::StatusOr<v1::User> Find(pqxx::transaction_base& tx, const rpc::Call& call, const std::string& name,
                              const UserLimits& limits, RowLock lock = RowLock::kNone) {
  RISEML_ASSIGN_OR_RETURN(const UserName parsed, ParseUserName(name));
  const auto rows = sql::Query(
      tx,
      absl::StrCat(kSelectUsers, "WHERE name = $1 AND (uid = $2 OR $3)", lock == RowLock::kUpdate ? " FOR UPDATE" : ""),
      parsed.user, call.caller.user_uid(), IsAdmin(call));
  if (rows.empty()) return NotFound(name);
  v1::User user = ToUser(rows[0], limits);
  AddKeys(tx, &user);
  return user;
}

// As people type it.
std::string ShownName(const v1::User& user) { return std::string(absl::StripPrefix(user.name(), "users/")); }

// The last enabled admin can neither be disabled nor lose the role: nobody could give it back.
absl::Status CheckAdminRemains(pqxx::transaction_base& tx, const v1::User& user) {
  if (user.role() != v1::User::ADMIN || !user.enabled()) return absl::OkStatus();
  // All admins are locked, so that two of them cannot remove each other at the same time.
  const auto admins = tx.exec("SELECT uid FROM users WHERE role = 'ADMIN' AND enabled ORDER BY uid FOR UPDATE");
  if (admins.size() > 1) return absl::OkStatus();
  return Error(Reason::kLastAdmin,
               absl::StrCat("user ", ShownName(user), " is the last admin; make somebody else admin first"));
}

std::string InsertKey(pqxx::transaction_base& tx, const std::string& user_uid, v1::ApiKey* shown) {
  const ApiKey key = MakeApiKey();
  sql::Query(tx, "INSERT INTO api_keys (id, user_uid, secret_hash) VALUES ($1, $2, $3)", key.id, user_uid,
             pqxx::binarystring(key.secret_hash));
  if (shown != nullptr) {
    shown->set_id(key.id);
    shown->set_prefix(KeyPrefix(key.id));
  }
  return key.text;
}

// Changes that a request asks for; an absent value leaves the field as it is.
struct UserChange {
  std::optional<std::string> email;
  std::optional<v1::User::Role> role;
  std::optional<bool> enabled;
};

absl::StatusOr<UserChange> ChangeOf(const v1::UpdateUserRequest& request) {
  std::set<std::string> fields(request.update_mask().paths().begin(), request.update_mask().paths().end());
  if (fields.empty()) {
    if (!request.email().empty()) fields.insert("email");
    if (request.role() != v1::User::ROLE_UNSPECIFIED) fields.insert("role");
  }
  UserChange change;
  for (const std::string& field : fields) {
    if (field == "email") {
      RISEML_RETURN_IF_ERROR(CheckEmail(request.email()));
      change.email = request.email();
    } else if (field == "role") {
      RISEML_RETURN_IF_ERROR(CheckRole(request.role()));
      change.role = request.role();
    } else if (field == "enabled") {
      change.enabled = request.enabled();
    } else {
      return InvalidField("update_mask", absl::StrCat("'", field, "' is none of email, role, enabled"));
    }
  }
  return change;
}

}  // namespace

absl::StatusOr<v1::CreateUserResponse> UserStore::Create(const rpc::Call& call, const v1::CreateUserRequest& request) {
  if (!IsValidUserPart(request.user_id()))
    return WithViolation(
        Error(Reason::kInvalidName, absl::StrCat("user name '", request.user_id(), "' ", kUserNameRule)), "user_id",
        kUserNameRule);
  RISEML_RETURN_IF_ERROR(CheckEmail(request.email()));
  const v1::User::Role role = request.role() == v1::User::ROLE_UNSPECIFIED ? v1::User::USER : request.role();
  RISEML_RETURN_IF_ERROR(CheckRole(role));
  const std::string hash = HashWithoutId(request);
  return db_.Write("create user", [&](pqxx::work& tx) -> absl::StatusOr<v1::CreateUserResponse> {
    v1::CreateUserResponse response;
    const std::string name = Print(UserName{request.user_id()});
    RISEML_ASSIGN_OR_RETURN(const auto seen, FindRequest(tx, call, request.request_id(), hash));
    if (!seen) {
      const auto rows = sql::Query(
          tx, "INSERT INTO users (name, email, role) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING RETURNING uid",
          request.user_id(), request.email(), v1::User::Role_Name(role));
      if (rows.empty())
        return Error(Reason::kAlreadyExists, absl::StrCat("user ", request.user_id(), " exists already"));
      response.set_api_key(InsertKey(tx, rows[0][0].as<std::string>(), nullptr));
      RememberRequest(tx, call, request.request_id(), hash, name);
      RecordAudit(tx, call, name);
    }
    RISEML_ASSIGN_OR_RETURN(*response.mutable_user(), Find(tx, call, name, limits_));
    return response;
  });
}

absl::StatusOr<v1::User> UserStore::Get(const rpc::Call& call, const std::string& name) {
  return db_.Read("get user", [&](pqxx::work& tx) { return Find(tx, call, name, limits_); });
}

absl::StatusOr<v1::ListUsersResponse> UserStore::List(const v1::ListUsersRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const v1::ListUsersRequest arguments = WithoutPage(request);
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> last, ReadPageToken(request.page_token(), arguments, 1));
  return db_.Read("list users", [&](pqxx::work& tx) -> absl::StatusOr<v1::ListUsersResponse> {
    const auto rows = sql::Query(tx, absl::StrCat(kSelectUsers, "WHERE name > $1 ORDER BY name LIMIT $2"),
                                 last.empty() ? std::string() : last[0], size + 1);
    v1::ListUsersResponse response;
    for (const auto& row : rows) {
      if (response.users_size() == size) {
        response.set_next_page_token(MakePageToken({rows[size - 1]["name"].as<std::string>()}, arguments));
        break;
      }
      *response.add_users() = ToUser(row, limits_);
    }
    return response;
  });
}

absl::StatusOr<v1::User> UserStore::Update(const rpc::Call& call, const v1::UpdateUserRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const UserChange change, ChangeOf(request));
  return db_.Write("update user", [&](pqxx::work& tx) -> absl::StatusOr<v1::User> {
    RISEML_ASSIGN_OR_RETURN(const v1::User user, Find(tx, call, request.name(), limits_, RowLock::kUpdate));
    if (!request.etag().empty() && request.etag() != user.etag())
      return WithMetadata(Error(Reason::kStale, absl::StrCat("user ", ShownName(user),
                                                             " has changed since it was read; read it again")),
                          "etag", user.etag());
    const bool loses_admin = (change.role && *change.role != v1::User::ADMIN) || (change.enabled && !*change.enabled);
    if (loses_admin) RISEML_RETURN_IF_ERROR(CheckAdminRemains(tx, user));
    sql::Query(tx, "UPDATE users SET email = $2, role = $3, enabled = $4 WHERE uid = $1", user.uid(),
               change.email.value_or(user.email()), v1::User::Role_Name(change.role.value_or(user.role())),
               change.enabled.value_or(user.enabled()));
    RecordAudit(tx, call, user.name());
    return Find(tx, call, request.name(), limits_);
  });
}

absl::StatusOr<v1::User> UserStore::Disable(const rpc::Call& call, const std::string& name) {
  return db_.Write("disable user", [&](pqxx::work& tx) -> absl::StatusOr<v1::User> {
    RISEML_ASSIGN_OR_RETURN(const v1::User user, Find(tx, call, name, limits_, RowLock::kUpdate));
    RISEML_RETURN_IF_ERROR(CheckAdminRemains(tx, user));
    sql::Query(tx, "UPDATE users SET enabled = false WHERE uid = $1", user.uid());
    RecordAudit(tx, call, user.name());
    return Find(tx, call, name, limits_);
  });
}

absl::StatusOr<v1::RotateApiKeyResponse> UserStore::RotateKey(const rpc::Call& call,
                                                              const v1::RotateApiKeyRequest& request) {
  const std::string hash = HashWithoutId(request);
  return db_.Write("rotate key", [&](pqxx::work& tx) -> absl::StatusOr<v1::RotateApiKeyResponse> {
    v1::RotateApiKeyResponse response;
    RISEML_ASSIGN_OR_RETURN(const v1::User user, Find(tx, call, request.name(), limits_, RowLock::kUpdate));
    if (!request.request_id().empty()) {
      RISEML_ASSIGN_OR_RETURN(const auto seen, FindRequest(tx, call, request.request_id(), hash));
      if (seen) return response;
      RememberRequest(tx, call, request.request_id(), hash, user.name());
    }
    sql::Query(tx, "UPDATE api_keys SET revoke_time = now() WHERE user_uid = $1 AND revoke_time IS NULL", user.uid());
    response.set_api_key(InsertKey(tx, user.uid(), response.mutable_key()));
    RecordAudit(tx, call, user.name());
    return response;
  });
}

absl::StatusOr<std::string> UserStore::Bootstrap() {
  return db_.Write("create the first admin", [&](pqxx::work& tx) -> absl::StatusOr<std::string> {
    tx.exec("LOCK TABLE users IN EXCLUSIVE MODE");
    if (tx.exec1("SELECT count(*) FROM users")[0].as<int>() > 0)
      return Error(Reason::kAlreadyExists, "there are users already");
    const std::string uid =
        tx.exec1("INSERT INTO users (name, email, role) VALUES ('admin', 'admin@localhost', 'ADMIN') RETURNING uid")[0]
            .as<std::string>();
    return InsertKey(tx, uid, nullptr);
  });
}

absl::StatusOr<std::string> UserStore::MakeAdminKey() {
  return db_.Write("make an administrator's key", [&](pqxx::work& tx) -> absl::StatusOr<std::string> {
    const auto admin =
        tx.exec("UPDATE users SET enabled = true, role = 'ADMIN' WHERE name = 'admin' RETURNING uid, name");
    if (admin.empty()) return Error(Reason::kNotFound, "there is no user admin; start the installation first");
    rpc::Call call;
    call.caller.set_kind(internal::v1::Caller::SERVICE);
    call.caller.set_service("admin-key");
    call.method = "riseml-api admin-key";
    RecordAudit(tx, call, Print(UserName{"admin"}));
    return InsertKey(tx, admin[0][0].as<std::string>(), nullptr);
  });
}

}  // namespace riseml::api
