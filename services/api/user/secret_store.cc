#include "services/api/user/secret_store.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "riseml/v1/experiment.pb.h"
#include "services/api/data/lifecycle.h"
#include "services/api/data/records.h"
#include "services/api/data/views.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/spec/names.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr int kMostSecrets = 500;  // of a user
constexpr std::size_t kLongestName = 255;
constexpr std::size_t kLargestValue = 64 << 10;

constexpr char kUpsertSecret[] = R"sql(
  INSERT INTO secrets (user_uid, project, name, sealed)
  VALUES ($1, $2, $3, $4)
  ON CONFLICT (user_uid, project, name) DO UPDATE SET sealed = EXCLUDED.sealed, update_time = now()
  RETURNING $5::text AS user_name, project, name,
)sql";

constexpr char kSelectSpecOfJob[] = R"sql(
  SELECT r.spec, r.user_uid, p.name, a.end_time IS NOT NULL AS ended
  FROM jobs j
  JOIN attempts a ON a.job_uid = j.uid AND a.number = $2
  JOIN experiments r ON r.uid = j.root_uid
  JOIN projects p ON p.uid = r.project_uid
  WHERE j.uid = $1
)sql";

// A secret of the project takes precedence over one of the user.
constexpr char kUseSecret[] = R"sql(
  UPDATE secrets
  SET use_time = now()
  WHERE user_uid = $1 AND name = $3
    AND project = (
      SELECT max(project)
      FROM secrets
      WHERE user_uid = $1 AND project IN ('', $2) AND name = $3)
  RETURNING sealed, project
)sql";

struct Owner {
  std::string user, project;
};

absl::StatusOr<Owner> ParseOwner(const std::string& parent) {
  if (const auto project = ParseProjectName(parent); project.ok()) return Owner{project->user, project->project};
  RISEML_ASSIGN_OR_RETURN(const UserName user, ParseUserName(parent));
  return Owner{user.user, ""};
}

// Identifies the owner, project and name to which a sealed value belongs.
std::string Binding(const std::string& user_uid, const std::string& project, const std::string& name) {
  return absl::StrCat(user_uid, "/", project, "/", name);
}

// Columns: user_name, project, name, and Times().
v1::Secret ToSecret(const pqxx::row& row) {
  v1::Secret secret;
  secret.set_name(Print(
      SecretName{row["user_name"].as<std::string>(), row["project"].as<std::string>(), row["name"].as<std::string>()}));
  SetTime(row["create_micros"], &v1::Secret::mutable_create_time, &secret);
  SetTime(row["update_micros"], &v1::Secret::mutable_update_time, &secret);
  SetTime(row["use_micros"], &v1::Secret::mutable_use_time, &secret);
  return secret;
}

std::string Times() {
  return absl::StrCat(Micros("create_time"), " AS create_micros, ", Micros("update_time"), " AS update_micros, ",
                      Micros("use_time"), " AS use_micros");
}

// Returns the names of the secrets that an experiment asks for.
std::vector<std::string> NamesOf(const v1::TrainSpec& spec) {
  std::vector<std::string> names;
  for (const v1::SecretUse& use : spec.secrets()) names.push_back(use.name());
  return names;
}

absl::Status Missing(const std::vector<std::string>& names) {
  const bool one = names.size() == 1;
  return absl::FailedPreconditionError(
      absl::StrCat(one ? "secret " : "secrets ", absl::StrJoin(names, ", "), one ? " is" : " are", " not set; store ",
                   one ? "it" : "them", " with: riseml secret set ", absl::StrJoin(names, " && riseml secret set ")));
}

}  // namespace

absl::StatusOr<v1::Secret> SecretStore::Set(const rpc::Call& call, const v1::SetSecretRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const Owner owner, ParseOwner(request.parent()));
  const std::string& name = request.secret_id();
  return db_.Write("set secret", [&](pqxx::work& tx) -> absl::StatusOr<v1::Secret> {
    RISEML_ASSIGN_OR_RETURN(const std::string uid, FindUserOf(tx, call, owner.user, request.parent()));
    if (const absl::Status valid = spec::CheckVariableName(name); !valid.ok() || name.size() > kLongestName)
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("secret_id: ", valid.ok() ? "at most 255 characters are allowed" : valid.message()));
    if (request.value().empty() || request.value().size() > kLargestValue)
      return Error(Reason::kInvalidArgument, "value: 1 byte to 64 KiB are allowed");
    sql::Query(tx, "SELECT 1 FROM users WHERE uid = $1 FOR UPDATE", uid);
    const auto others =
        sql::QueryRow(tx, "SELECT count(*) FROM secrets WHERE user_uid = $1 AND (project, name) <> ($2, $3)", uid,
                      owner.project, name);
    if (others[0].as<int>() >= kMostSecrets)
      return LimitExceeded(absl::StrCat("a user has at most ", kMostSecrets, " secrets; delete some"), kMostSecrets,
                           others[0].as<int>());
    const auto row =
        sql::QueryRow(tx, absl::StrCat(kUpsertSecret, Times()), uid, owner.project, name,
                      pqxx::binarystring(box_.Seal(request.value(), Binding(uid, owner.project, name))), owner.user);
    v1::Secret secret = ToSecret(row);
    RecordAudit(tx, call, secret.name());
    return secret;
  });
}

absl::StatusOr<v1::ListSecretsResponse> SecretStore::List(const rpc::Call& call,
                                                          const v1::ListSecretsRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const UserName owner, ParseUserName(request.parent()));
  return db_.Read("list secrets", [&](pqxx::work& tx) -> absl::StatusOr<v1::ListSecretsResponse> {
    RISEML_ASSIGN_OR_RETURN(const std::string uid, FindUserOf(tx, call, owner.user, request.parent()));
    v1::ListSecretsResponse response;
    for (const auto& row :
         sql::Query(tx,
                    absl::StrCat("SELECT $2::text AS user_name, project, name, ", Times(),
                                 " FROM secrets WHERE user_uid = $1 ORDER BY project, name LIMIT ", kMostSecrets),
                    uid, owner.user))
      *response.add_secrets() = ToSecret(row);
    return response;
  });
}

absl::Status SecretStore::Delete(const rpc::Call& call, const std::string& name) {
  RISEML_ASSIGN_OR_RETURN(const SecretName parsed, ParseSecretName(name));
  return db_.Write("delete secret", [&](pqxx::work& tx) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const std::string uid, FindUserOf(tx, call, parsed.user, name));
    const auto deleted = sql::Query(tx, "DELETE FROM secrets WHERE user_uid = $1 AND project = $2 AND name = $3", uid,
                                    parsed.project, parsed.secret);
    if (deleted.affected_rows() == 0) return NotFound(name);
    RecordAudit(tx, call, name);
    return absl::OkStatus();
  });
}

absl::Status SecretStore::Require(const std::string& user_uid, const std::string& project,
                                  const std::vector<std::string>& names) {
  if (names.empty()) return absl::OkStatus();
  return db_.Read("find secrets", [&](pqxx::work& tx) -> absl::Status {
    std::set<std::string> known;
    for (const auto& row :
         sql::Query(tx, "SELECT name FROM secrets WHERE user_uid = $1 AND project IN ('', $2)", user_uid, project))
      known.insert(row[0].as<std::string>());
    std::vector<std::string> missing;
    for (const std::string& name : names)
      if (!known.contains(name)) missing.push_back(name);
    return missing.empty() ? absl::OkStatus() : Missing(missing);
  });
}

absl::StatusOr<std::map<std::string, std::string>> SecretStore::Fetch(const rpc::Call& call) {
  using Values = std::map<std::string, std::string>;
  return db_.Write("fetch secrets", [&](pqxx::work& tx) -> absl::StatusOr<Values> {
    const auto rows = sql::Query(tx, kSelectSpecOfJob, call.caller.job_uid(), call.caller.attempt());
    if (rows.empty()) return Error(Reason::kNotFound, "the job of this token does not exist any more");
    if (rows[0]["ended"].as<bool>())
      return Error(Reason::kPermissionDenied, "the attempt of this token has ended, and needs no secrets any more");
    v1::TrainSpec spec;
    spec.ParseFromString(pqxx::binarystring(rows[0][0]).str());
    const std::string user_uid = rows[0][1].as<std::string>(), project = rows[0][2].as<std::string>();
    Values values;
    std::vector<std::string> missing;
    for (const std::string& name : NamesOf(spec)) {
      const auto found = sql::Query(tx, kUseSecret, user_uid, project, name);
      if (found.empty()) {
        missing.push_back(name);
        continue;
      }
      RISEML_ASSIGN_OR_RETURN(values[name], box_.Open(pqxx::binarystring(found[0][0]).str(),
                                                      Binding(user_uid, found[0][1].as<std::string>(), name)));
      RecordAudit(tx, call, absl::StrCat("secret ", name, " of ", project));
    }
    if (!missing.empty()) return Missing(missing);
    return values;
  });
}

}  // namespace riseml::api
