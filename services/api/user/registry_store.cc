#include "services/api/user/registry_store.h"

#include <algorithm>
#include <pqxx/pqxx>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/api/data/lifecycle.h"
#include "services/api/data/records.h"
#include "services/api/data/views.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr int kMostRegistries = 100;  // of an owner
constexpr std::size_t kLargestCredential = 16 << 10;
constexpr std::size_t kLongestHost = 255;

constexpr char kUpsert[] = R"sql(
  INSERT INTO registry_credentials (user_uid, host, username, sealed)
  VALUES (nullif($1, '')::uuid, $2, $3, $4)
  ON CONFLICT (coalesce(user_uid::text, ''), host)
  DO UPDATE SET username = EXCLUDED.username, sealed = EXCLUDED.sealed, update_time = now()
)sql";

constexpr char kCountOthers[] = R"sql(
  SELECT count(*)
  FROM registry_credentials
  WHERE coalesce(user_uid::text, '') = $1 AND host <> $2
)sql";

constexpr char kDelete[] = R"sql(
  DELETE FROM registry_credentials
  WHERE coalesce(user_uid::text, '') = $1 AND host = $2
)sql";

// The user's own credential comes before the one for all users.
constexpr char kFind[] = R"sql(
  SELECT coalesce(user_uid::text, '') AS owner, username, sealed
  FROM registry_credentials
  WHERE coalesce(user_uid::text, '') IN ('', $1) AND host = $2
  ORDER BY owner DESC
  LIMIT 1
)sql";

// Owner of a credential; both are empty for all users.
struct RegistryOwner {
  std::string name, uid;
};

std::string RegistryName(const std::string& user, const std::string& host) {
  return absl::StrCat(user.empty() ? "" : absl::StrCat(Print(UserName{user}), "/"), "registries/", host);
}

// Identifies the owner and the host to which a sealed password belongs.
std::string RegistryBinding(const std::string& owner_uid, const std::string& host) {
  return absl::StrCat("registry/", owner_uid, "/", host);
}

absl::Status Check(const v1::SetRegistryCredentialRequest& request) {
  const std::string& host = request.host();
  const auto allowed = [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
  };
  if (host.empty() || host.size() > kLongestHost || !std::ranges::all_of(host, allowed))
    return Error(Reason::kInvalidArgument,
                 "host: a registry is written as in names of images, e.g. docker.io or registry.lan:5000");
  for (const std::string* value : {&request.username(), &request.password()})
    if (value->empty() || value->size() > kLargestCredential || value->find('\0') != std::string::npos)
      return Error(Reason::kInvalidArgument, "username and password: 1 byte to 16 KiB without NUL are allowed");
  return absl::OkStatus();
}

absl::StatusOr<RegistryOwner> FindOwner(pqxx::transaction_base& tx, const rpc::Call& call, const std::string& user,
                                        const std::string& name) {
  if (user.empty()) {
    if (!IsAdmin(call))
      return Error(Reason::kPermissionDenied, "only an administrator may change credentials for all users");
    return RegistryOwner();
  }
  RISEML_ASSIGN_OR_RETURN(const std::string uid, FindUserOf(tx, call, user, name));
  return RegistryOwner{user, uid};
}

// Splits "users/USER/registries/HOST" or "registries/HOST" into the user and the host.
absl::StatusOr<std::pair<std::string, std::string>> ParseName(const std::string& name) {
  constexpr char kCollection[] = "registries/";
  const std::size_t at = name.rfind(kCollection);
  const absl::Status refused =
      Error(Reason::kInvalidArgument,
            absl::StrCat("name: ", name, " is not users/USER/", kCollection, "HOST or ", kCollection, "HOST"));
  if (at == std::string::npos) return refused;
  const std::string host = name.substr(at + sizeof kCollection - 1);
  if (at == 0) return std::pair(std::string(), host);
  const absl::StatusOr<UserName> user = ParseUserName(absl::string_view(name).substr(0, at - 1));
  if (!user.ok() || name[at - 1] != '/') return refused;
  return std::pair(user->user, host);
}

}  // namespace

absl::StatusOr<v1::RegistryCredential> RegistryStore::Set(const rpc::Call& call,
                                                          const v1::SetRegistryCredentialRequest& request) {
  UserName user;
  if (!request.parent().empty()) {
    RISEML_ASSIGN_OR_RETURN(user, ParseUserName(request.parent()));
  }
  return db_.Write("set registry credential", [&](pqxx::work& tx) -> absl::StatusOr<v1::RegistryCredential> {
    RISEML_ASSIGN_OR_RETURN(const RegistryOwner owner, FindOwner(tx, call, user.user, request.parent()));
    RISEML_RETURN_IF_ERROR(Check(request));
    const auto others = sql::QueryRow(tx, kCountOthers, owner.uid, request.host());
    if (others[0].as<int>() >= kMostRegistries)
      return LimitExceeded(absl::StrCat("at most ", kMostRegistries, " registries have credentials; delete some"),
                           kMostRegistries, others[0].as<int>());
    sql::Query(tx, kUpsert, owner.uid, request.host(), request.username(),
               pqxx::binarystring(box_.Seal(request.password(), RegistryBinding(owner.uid, request.host()))));
    v1::RegistryCredential credential;
    credential.set_name(RegistryName(owner.name, request.host()));
    credential.set_username(request.username());
    RecordAudit(tx, call, credential.name());
    return credential;
  });
}

absl::StatusOr<v1::ListRegistryCredentialsResponse> RegistryStore::List(
    const rpc::Call& call, const v1::ListRegistryCredentialsRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const UserName user, ParseUserName(request.parent()));
  return db_.Read(
      "list registry credentials", [&](pqxx::work& tx) -> absl::StatusOr<v1::ListRegistryCredentialsResponse> {
        RISEML_ASSIGN_OR_RETURN(const RegistryOwner owner, FindOwner(tx, call, user.user, request.parent()));
        v1::ListRegistryCredentialsResponse response;
        for (const auto& row :
             sql::Query(tx,
                        absl::StrCat("SELECT user_uid IS NULL AS shared, host, username, ", Micros("update_time"),
                                     " AS update_micros FROM registry_credentials WHERE user_uid IS NULL OR "
                                     "user_uid = $1::uuid ORDER BY host, shared LIMIT ",
                                     2 * kMostRegistries),
                        owner.uid)) {
          v1::RegistryCredential& credential = *response.add_credentials();
          credential.set_name(RegistryName(row["shared"].as<bool>() ? "" : owner.name, row["host"].as<std::string>()));
          credential.set_username(row["username"].as<std::string>());
          SetTime(row["update_micros"], &v1::RegistryCredential::mutable_update_time, &credential);
        }
        return response;
      });
}

absl::Status RegistryStore::Delete(const rpc::Call& call, const std::string& name) {
  RISEML_ASSIGN_OR_RETURN(const auto parsed, ParseName(name));
  return db_.Write("delete registry credential", [&](pqxx::work& tx) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const RegistryOwner owner, FindOwner(tx, call, parsed.first, name));
    if (sql::Query(tx, kDelete, owner.uid, parsed.second).affected_rows() == 0) return NotFound(name);
    RecordAudit(tx, call, name);
    return absl::OkStatus();
  });
}

absl::StatusOr<internal::v1::FindRegistryCredentialResponse> RegistryStore::Find(
    const internal::v1::FindRegistryCredentialRequest& request) {
  using Found = internal::v1::FindRegistryCredentialResponse;
  return db_.Read("find registry credential", [&](pqxx::work& tx) -> absl::StatusOr<Found> {
    const auto rows = sql::Query(tx, kFind, request.user_uid(), request.host());
    if (rows.empty()) return NotFound(absl::StrCat("credential for ", request.host()));
    Found found;
    found.set_username(rows[0]["username"].as<std::string>());
    RISEML_ASSIGN_OR_RETURN(*found.mutable_password(),
                            box_.Open(pqxx::binarystring(rows[0]["sealed"]).str(),
                                      RegistryBinding(rows[0]["owner"].as<std::string>(), request.host())));
    return found;
  });
}

}  // namespace riseml::api
