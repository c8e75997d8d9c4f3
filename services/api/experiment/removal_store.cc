#include "services/api/experiment/removal_store.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/api/data/experiment_spec.h"
#include "services/api/data/lifecycle.h"
#include "services/api/data/records.h"
#include "services/api/data/stored_bytes.h"
#include "services/api/data/views.h"
#include "services/api/experiment/inputs.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr int kMostItems = 500;
constexpr int kMostNamed = 20;  // experiments named in an error
// A log that is open for longer than this will not become complete soon: its node is gone.
constexpr int kLogSeconds = 60;

constexpr char kSelectOpenLog[] = R"sql(
  SELECT j.name
  FROM jobs j
  JOIN attempts a ON a.job_uid = j.uid
  WHERE j.root_uid = $1
    AND a.log_state = 'OPEN'
    AND (a.end_time IS NULL OR a.end_time > now() - make_interval(secs => $2))
  LIMIT 1
)sql";

// Other roots that have outputs of this root as inputs, each with the first and last child that it reads.
constexpr char kSelectReaders[] = R"sql(
  SELECT u.name AS user_name, r.number, min(s.child) AS first_child, max(s.child) AS last_child
  FROM experiment_inputs i
  JOIN experiments s ON s.uid = i.input_uid
  JOIN experiments r ON r.uid = i.root_uid
  JOIN users u ON u.uid = r.user_uid
  WHERE s.root_uid = $1 AND i.root_uid <> $1
  GROUP BY u.name, r.number
  ORDER BY u.name, r.number
  LIMIT $2
)sql";

constexpr char kDeleteExperiments[] = R"sql(
  WITH gone AS (
    DELETE FROM experiments
    WHERE root_uid = $1
    RETURNING user_uid),
  counts AS (
    SELECT user_uid, count(*)
    FROM gone
    GROUP BY user_uid)
  UPDATE users u
  SET experiments = u.experiments - c.count
  FROM counts c
  WHERE c.user_uid = u.uid
)sql";

// Locks the project: nobody makes an experiment with it, or pushes to it, until the transaction ends.
constexpr char kLockProject[] = R"sql(
  SELECT p.uid, p.user_uid, p.stored_bytes
  FROM projects p
  JOIN users u ON u.uid = p.user_uid
  WHERE u.name = $1 AND p.name = $2 AND (u.uid = $3 OR $4)
  FOR UPDATE OF p
)sql";

constexpr char kSelectExperimentsOfProject[] = R"sql(
  SELECT number, count(*) OVER () AS count
  FROM experiments
  WHERE project_uid = $1 AND child = 0
  ORDER BY number
  LIMIT $2
)sql";

absl::StatusOr<std::string> KindName(internal::v1::ListRemovalsRequest::Kind kind) {
  if (kind != internal::v1::ListRemovalsRequest::KIND_UNSPECIFIED &&
      internal::v1::ListRemovalsRequest::Kind_IsValid(kind))
    return internal::v1::ListRemovalsRequest::Kind_Name(kind);
  return Error(Reason::kInvalidArgument, "kind must be LOG, OUTPUT or REPOSITORY");
}

// Fails when something below the root still runs or writes.
absl::Status CheckEnded(pqxx::transaction_base& tx, const ExperimentKey& key) {
  const std::string id = ShortId(key.name);
  const auto rows = sql::Query(tx, "SELECT state FROM experiments WHERE uid = $1", key.uid);
  const ExperimentState state = ParseExperimentState(rows[0][0].c_str());
  if (!IsTerminal(state))
    return Error(Reason::kExperimentRuns, absl::StrCat("experiment ", id, " is ", Name(state),
                                                       "; stop it first: riseml kill ", id, " && riseml wait ", id));
  if (sql::Query(tx, kSelectOpenLog, key.uid, kLogSeconds).empty()) return absl::OkStatus();
  return Error(Reason::kExperimentRuns,
               absl::StrCat("the log of experiment ", id, " is still being stored; try again in a few seconds"));
}

// Fails when other experiments read an output below the root.
absl::Status CheckUnused(pqxx::transaction_base& tx, const rpc::Call& call, const ExperimentKey& key) {
  const auto rows = sql::Query(tx, kSelectReaders, key.uid, kMostNamed);
  if (rows.empty()) return absl::OkStatus();
  const std::string& caller = call.caller.user();
  std::vector<std::string> readers;
  std::set<std::string> others;
  for (const auto& row : rows) {
    const ExperimentName reader{.user = row["user_name"].as<std::string>(), .number = row["number"].as<std::int64_t>()};
    readers.push_back(IdFor(caller, reader));
    if (reader.user != caller && !IsAdmin(call)) others.insert(reader.user);
  }
  ExperimentName source = key.name;
  const auto first_child = rows[0]["first_child"].as<std::int64_t>();
  if (rows.size() == 1 && first_child == rows[0]["last_child"].as<std::int64_t>()) source.child = first_child;
  const bool one = readers.size() == 1;
  return Error(Reason::kInUse,
               absl::StrCat("the output of ", IdFor(caller, source), " is an input of experiment", one ? " " : "s ",
                            absl::StrJoin(readers, ", "),
                            others.empty() ? absl::StrCat("; delete ", one ? "that" : "those", " first: riseml rm ",
                                                          absl::StrJoin(readers, " "))
                                           : absl::StrCat("; ask ", absl::StrJoin(others, " and "), " to delete ",
                                                          one ? "that" : "theirs", " first")));
}

void RecordRemovals(pqxx::transaction_base& tx, const ExperimentKey& key) {
  sql::Query(
      tx,
      "INSERT INTO removals (kind, item) SELECT 'LOG', uid::text FROM jobs WHERE root_uid = $1 ON CONFLICT DO NOTHING",
      key.uid);
  const auto project = sql::QueryRow(
      tx, "SELECT p.name FROM experiments e JOIN projects p ON p.uid = e.project_uid WHERE e.uid = $1", key.uid);
  sql::Query(tx, "INSERT INTO removals (kind, item) VALUES ('OUTPUT', $1) ON CONFLICT DO NOTHING",
             OutputSubpath(key.name, project[0].as<std::string>()));
}

void DeleteRows(pqxx::transaction_base& tx, const std::string& root_uid) {
  sql::Query(tx, "DELETE FROM attempts WHERE job_uid IN (SELECT uid FROM jobs WHERE root_uid = $1)", root_uid);
  sql::Query(tx, "DELETE FROM jobs WHERE root_uid = $1", root_uid);
  sql::Query(tx, "DELETE FROM transitions WHERE root_uid = $1", root_uid);
  sql::Query(tx, "DELETE FROM child_counts WHERE root_uid = $1", root_uid);
  sql::Query(tx, "DELETE FROM experiment_inputs WHERE root_uid = $1", root_uid);
  sql::Query(tx, "DELETE FROM requests WHERE resource = $1::text", root_uid);
  sql::Query(tx, kDeleteExperiments, root_uid);
}

// Fails if the project has experiments: they use its revisions.
absl::Status CheckNoExperiments(pqxx::transaction_base& tx, const rpc::Call& call, const ProjectName& name,
                                const std::string& project_uid) {
  const auto rows = sql::Query(tx, kSelectExperimentsOfProject, project_uid, kMostNamed);
  if (rows.empty()) return absl::OkStatus();
  std::vector<std::string> ids;
  for (const auto& row : rows)
    ids.push_back(
        IdFor(call.caller.user(), ExperimentName{.user = name.user, .number = row["number"].as<std::int64_t>()}));
  const auto count = rows[0]["count"].as<std::int64_t>();
  return Error(Reason::kInUse,
               absl::StrCat("project ", name.project, " has ", count, " experiment", count == 1 ? "" : "s", "; delete ",
                            count == 1 ? "it" : "them", " first",
                            count > std::ssize(ids) ? absl::StrCat(", these ", ids.size(), " to begin with") : "",
                            ": riseml rm ", absl::StrJoin(ids, " ")));
}

}  // namespace

absl::Status RemovalStore::Delete(const rpc::Call& call, const v1::DeleteExperimentRequest& request) {
  const std::string hash = HashWithoutId(request);
  return db_.Write("delete experiment", [&](pqxx::work& tx) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const std::optional<std::string> seen, FindRequest(tx, call, request.request_id(), hash));
    if (seen) return absl::OkStatus();
    RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, call, request.name()));
    if (key.uid != key.root_uid)
      return Error(Reason::kInvalidArgument,
                   absl::StrCat(ShortId(key.name), " is part of set ", key.name.number,
                                "; only a whole set can be deleted: riseml rm ", key.name.number));
    if (!LockRoot(tx, key.root_uid)) return FindExperiment(tx, call, request.name()).status();
    // Waits for transactions that make one of these their input.
    sql::Query(tx, "SELECT uid FROM experiments WHERE root_uid = $1 FOR UPDATE", key.uid);
    RISEML_RETURN_IF_ERROR(CheckEnded(tx, key));
    RISEML_RETURN_IF_ERROR(CheckUnused(tx, call, key));
    RecordRemovals(tx, key);
    StoredBytes stored;
    stored.Remove(tx, key.uid);
    DeleteRows(tx, key.uid);
    stored.Write(tx);
    RememberRequest(tx, call, request.request_id(), hash, Print(key.name));
    RecordAudit(tx, call, Print(key.name));
    return absl::OkStatus();
  });
}

absl::Status RemovalStore::DeleteProject(const rpc::Call& call, const v1::DeleteProjectRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const ProjectName name, ParseProjectName(request.name()));
  const std::string hash = HashWithoutId(request);
  return db_.Write("delete project", [&](pqxx::work& tx) -> absl::Status {
    RISEML_ASSIGN_OR_RETURN(const std::optional<std::string> seen, FindRequest(tx, call, request.request_id(), hash));
    if (seen) return absl::OkStatus();
    const auto rows = sql::Query(tx, kLockProject, name.user, name.project, call.caller.user_uid(), IsAdmin(call));
    if (rows.empty()) return NotFound(request.name());
    const auto uid = rows[0]["uid"].as<std::string>(), user_uid = rows[0]["user_uid"].as<std::string>();
    RISEML_RETURN_IF_ERROR(CheckNoExperiments(tx, call, name, uid));
    sql::Query(tx, "INSERT INTO removals (kind, item) VALUES ('REPOSITORY', $1) ON CONFLICT DO NOTHING", uid);
    sql::Query(tx, "DELETE FROM revisions WHERE project_uid = $1", uid);
    sql::Query(tx, "DELETE FROM secrets WHERE user_uid = $1 AND project = $2", user_uid, name.project);
    sql::Query(tx, "DELETE FROM projects WHERE uid = $1", uid);
    RememberRequest(tx, call, request.request_id(), hash, request.name());
    RecordAudit(tx, call, request.name());
    StoredBytes stored;
    stored.AddCode(user_uid, -rows[0]["stored_bytes"].as<std::int64_t>());
    stored.Write(tx);
    return absl::OkStatus();
  });
}

absl::StatusOr<internal::v1::ListRemovalsResponse> RemovalStore::List(
    const internal::v1::ListRemovalsRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const std::string kind, KindName(request.kind()));
  return db_.Read("list removals", [&](pqxx::work& tx) -> absl::StatusOr<internal::v1::ListRemovalsResponse> {
    internal::v1::ListRemovalsResponse response;
    for (const auto& row :
         sql::Query(tx, "SELECT item FROM removals WHERE kind = $1 ORDER BY number LIMIT $2", kind, kMostItems))
      response.add_items(row[0].as<std::string>());
    return response;
  });
}

absl::Status RemovalStore::Report(const internal::v1::ReportRemovedRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const std::string kind, KindName(request.kind()));
  if (request.items_size() > kMostItems)
    return Error(Reason::kInvalidArgument, absl::StrCat("items: at most ", kMostItems));
  return db_.Read("report removals", [&](pqxx::work& tx) {
    for (const std::string& item : request.items())
      sql::Query(tx, "DELETE FROM removals WHERE kind = $1 AND item = $2", kind, item);
    return absl::OkStatus();
  });
}

}  // namespace riseml::api
