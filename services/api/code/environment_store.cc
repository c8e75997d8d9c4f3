#include "services/api/code/environment_store.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/api/data/experiment_spec.h"
#include "services/api/data/records.h"
#include "services/api/data/views.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/logtext/redact.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr std::size_t kShortKey = 8;
constexpr int kMaxUsers = 100;
constexpr char kNoJob[] = "00000000-0000-0000-0000-000000000000";

// Jobs with a live attempt.
constexpr char kSelectLiveUsers[] = R"sql(
  SELECT a.environment_key, u.name AS user_name, e.number, e.child, j.name AS job_name
  FROM attempts a
  JOIN jobs j ON j.uid = a.job_uid
  JOIN experiments e ON e.uid = j.experiment_uid
  JOIN users u ON u.uid = e.user_uid
  WHERE a.state IN ('STARTING', 'RUNNING', 'SUSPENDED') AND a.environment_key <> ''
  ORDER BY j.sequence
)sql";

constexpr char kUseEnvironment[] = R"sql(
  INSERT INTO environments (key, state, build_job, user_uid, last_use_time)
  SELECT $1, 'READY', CASE WHEN $3 THEN $2::uuid ELSE $4::uuid END, e.user_uid, now()
  FROM experiments e
  WHERE e.uid = $5
  ON CONFLICT (key) DO UPDATE SET
    last_use_time = now(),
    state = CASE WHEN $3 THEN 'READY' ELSE environments.state END,
    build_job = CASE WHEN $3 THEN EXCLUDED.build_job ELSE environments.build_job END,
    user_uid = EXCLUDED.user_uid
  WHERE $3 OR environments.state <> 'REMOVED'
  RETURNING key
)sql";

constexpr char kSelectUsed[] = R"sql(
  SELECT a.environment_key, a.environment_digest, u.name AS user_name, b.number, b.child, bj.name AS job_name,
    v.plan::text AS plan, v.built_because,
    j.role = $2 AND a.state <> 'FINISHED' AS unfinished,
    COALESCE(v.build_job = j.uid, false) AS is_latest
  FROM jobs j
  JOIN attempts a ON a.job_uid = j.uid
  LEFT JOIN environments v ON v.key = a.environment_key
  LEFT JOIN jobs bj ON bj.uid = v.build_job
  LEFT JOIN experiments b ON b.uid = bj.experiment_uid
  LEFT JOIN users u ON u.uid = b.user_uid
  WHERE (j.experiment_uid = $1 OR j.root_uid = $1) AND a.environment_key <> ''
  ORDER BY a.create_time DESC
  LIMIT 1
)sql";

constexpr char kSelectSharedFailure[] = R"sql(
  SELECT b.message, e.number, e.child, b.name
  FROM environments v
  JOIN jobs b ON b.uid = v.build_job
  JOIN experiments e ON e.uid = b.experiment_uid
  JOIN jobs w ON w.uid = $2
  WHERE v.key = $1 AND v.state = 'FAILED'
    AND b.uid <> w.uid AND b.state = 'FAILED' AND b.reason = 'ERROR' AND b.end_time > w.create_time
)sql";

constexpr char kSelectEnvironments[] = R"sql(
  SELECT v.key, o.name AS owner, u.name AS user_name, b.number, b.child, bj.name AS job_name, v.plan::text AS plan,
    v.built_because, (extract(epoch FROM v.last_use_time) * 1000000)::bigint AS last_use_micros
  FROM environments v
  LEFT JOIN jobs bj ON bj.uid = v.build_job
  LEFT JOIN experiments b ON b.uid = bj.experiment_uid
  LEFT JOIN users u ON u.uid = b.user_uid
  LEFT JOIN users o ON o.uid = COALESCE(v.user_uid, b.user_uid)
)sql";

// Locks the row, and makes it if there is none.
constexpr char kLockEnvironment[] = R"sql(
  INSERT INTO environments (key, state, build_job)
  VALUES ($1, 'FAILED', $2)
  ON CONFLICT (key) DO UPDATE SET key = EXCLUDED.key
)sql";

// Returns the job in columns user_name, number, child and job_name; empty if there is none.
std::string JobNameOf(const pqxx::row& row) {
  if (row["user_name"].is_null()) return "";
  return Print(JobName{{.user = row["user_name"].as<std::string>(),
                        .number = row["number"].as<std::int64_t>(),
                        .child = row["child"].as<std::int64_t>()},
                       row["job_name"].as<std::string>()});
}

// `plan` is the column of that name.
template <class Environment>
void AddSteps(const char* plan, Environment& environment) {
  for (const nlohmann::json& step : nlohmann::json::parse(plan)) environment.add_steps(step.get<std::string>());
}

// Jobs with a live attempt by the key of their environment.
std::map<std::string, std::vector<std::string>> LoadUsers(pqxx::transaction_base& tx) {
  std::map<std::string, std::vector<std::string>> users;
  for (const auto& row : tx.exec(kSelectLiveUsers))
    users[row["environment_key"].as<std::string>()].push_back(JobNameOf(row));
  return users;
}

}  // namespace

std::string UseEnvironment(pqxx::transaction_base& tx, const internal::v1::Placement& placement, const JobRow& job) {
  const std::string& key = placement.uses_environment();
  if (key.empty()) return "";
  const bool made = placement.makes_environment();
  const auto used = sql::Query(tx, kUseEnvironment, key, job.uid, made, std::string(kNoJob), job.experiment_uid);
  return used.empty() ? absl::StrCat("its environment ", key.substr(0, kShortKey), " was removed") : "";
}

void RecordPlan(pqxx::transaction_base& tx, const internal::v1::Placement& placement) {
  if (!placement.has_environment()) return;
  const bool is_build = !placement.environment_key().empty();
  if (!is_build && !placement.makes_environment()) return;
  nlohmann::json plan = nlohmann::json::array();
  for (const std::string& step : placement.environment().steps()) plan.push_back(logtext::MaskUrlPasswords(step));
  sql::Query(tx, "UPDATE environments SET plan = $2, built_because = $3 WHERE key = $1",
             is_build ? placement.environment_key() : placement.uses_environment(),
             plan.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
             placement.environment().built_because());
}

v1::UsedEnvironment LoadUsedEnvironment(pqxx::transaction_base& tx, const std::string& experiment_uid) {
  v1::UsedEnvironment used;
  const auto rows = sql::Query(tx, kSelectUsed, experiment_uid, std::string(kBuildRole));
  if (rows.empty()) return used;
  const pqxx::row row = rows[0];
  // The explanation of an unfinished build is known until another job builds the same.
  const bool unfinished = row["unfinished"].as<bool>();
  if (!row["built_because"].is_null() && (!unfinished || row["is_latest"].as<bool>()))
    used.set_built_because(row["built_because"].as<std::string>());
  if (unfinished) return used;  // a build's result exists only once the build has succeeded
  used.set_key(row["environment_key"].as<std::string>());
  used.set_built_by(JobNameOf(row));
  used.set_digest(row["environment_digest"].as<std::string>());
  if (!row["plan"].is_null()) AddSteps(row["plan"].c_str(), used);
  return used;
}

std::optional<SharedFailure> FindSharedFailure(pqxx::transaction_base& tx, const std::string& key, const JobRow& job) {
  const auto rows = sql::Query(tx, kSelectSharedFailure, key, job.uid);
  if (rows.empty()) return std::nullopt;
  const pqxx::row row = rows[0];
  const auto child = row["child"].as<std::int64_t>();
  const std::string build = absl::StrCat(row["number"].as<std::int64_t>(), child > 0 ? absl::StrCat(".", child) : "",
                                         ".", row["name"].c_str());
  return SharedFailure{absl::StrCat(row["message"].c_str(), " (in ", build, ", which built the same environment)")};
}

absl::StatusOr<std::vector<v1::StoredEnvironment>> EnvironmentStore::List(const rpc::Call* call, const Stored& stored) {
  return db_.Snapshot("list environments", [&](pqxx::work& tx) -> absl::StatusOr<std::vector<v1::StoredEnvironment>> {
    auto users = LoadUsers(tx);
    std::map<std::string, v1::StoredEnvironment> known;
    for (const auto& row : tx.exec(kSelectEnvironments)) {
      v1::StoredEnvironment& environment = known[row["key"].as<std::string>()];
      if (!row["owner"].is_null()) environment.set_owner(Print(UserName{row["owner"].as<std::string>()}));
      if (const auto used = row["last_use_micros"]; !used.is_null())
        *environment.mutable_last_use_time() = ToTimestamp(used.as<std::int64_t>());
      environment.set_built_by(JobNameOf(row));
      AddSteps(row["plan"].c_str(), environment);
      environment.set_built_because(row["built_because"].as<std::string>());
    }
    std::vector<v1::StoredEnvironment> out;
    for (const internal::v1::StoredEnvironment& one : stored) {
      v1::StoredEnvironment environment = known[one.key()];
      environment.set_key(one.key());
      environment.set_bytes(one.bytes());
      environment.set_digest(one.digest());
      *environment.mutable_create_time() = one.change_time();
      std::vector<std::string>& names = users[one.key()];
      for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), kMaxUsers); ++i)
        environment.add_used_by(names[i]);
      if (!one.complete()) environment.clear_owner();
      const bool mine =
          call == nullptr || IsAdmin(*call) || environment.owner() == Print(UserName{call->caller.user()});
      if (mine && (call == nullptr || one.complete())) out.push_back(std::move(environment));
    }
    std::ranges::stable_sort(out, [](const auto& a, const auto& b) {
      return std::max(FromProtoTime(a.last_use_time()), FromProtoTime(a.create_time())) >
             std::max(FromProtoTime(b.last_use_time()), FromProtoTime(b.create_time()));
    });
    return out;
  });
}

absl::StatusOr<std::string> EnvironmentStore::FindKey(const std::vector<v1::StoredEnvironment>& environments,
                                                      const std::string& key) {
  if (key.size() < kShortKey)
    return Error(Reason::kInvalidArgument, absl::StrCat("an environment is named by at least ", kShortKey,
                                                        " digits of its key; see: riseml environment list"));
  std::optional<std::string> found;
  for (const v1::StoredEnvironment& environment : environments) {
    if (!absl::StartsWith(environment.key(), key)) continue;
    if (found)
      return Error(Reason::kInvalidArgument, absl::StrCat(key, " is the beginning of several keys; write more"));
    found = environment.key();
  }
  if (!found)
    return Error(Reason::kNotFound, absl::StrCat("environment ", key, " not found; see: riseml environment list"));
  return *found;
}

absl::Status EnvironmentStore::BeginRemoval(const rpc::Call* call, const std::string& key) {
  return db_.Write("remove environment", [&](pqxx::work& tx) -> absl::Status {
    // The lock makes placements that use the environment wait; they then find it removed.
    sql::Query(tx, kLockEnvironment, key, std::string(kNoJob));
    const auto users = LoadUsers(tx);
    if (const auto used = users.find(key); used != users.end()) {
      const auto job = ParseJobName(used->second.front());
      return absl::FailedPreconditionError(absl::StrCat(
          "environment ", key.substr(0, kShortKey), " is used by ", job.ok() ? ShortId(*job) : used->second.front(),
          used->second.size() > 1 ? absl::StrCat(" and ", used->second.size() - 1, " more") : "",
          "; wait, or kill them"));
    }
    sql::Query(tx, "UPDATE environments SET state = 'REMOVED', update_time = now() WHERE key = $1", key);
    if (call != nullptr) RecordAudit(tx, *call, absl::StrCat("environments/", key));
    return absl::OkStatus();
  });
}

absl::Status EnvironmentStore::CancelRemoval(const std::string& key) {
  return db_.Write("keep environment", [&](pqxx::work& tx) -> absl::Status {
    sql::Query(tx, "UPDATE environments SET state = 'READY' WHERE key = $1 AND state = 'REMOVED'", key);
    return absl::OkStatus();
  });
}

}  // namespace riseml::api
