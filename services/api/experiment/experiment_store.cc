#include "services/api/experiment/experiment_store.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/api/code/environment_store.h"
#include "services/api/data/child_counts.h"
#include "services/api/data/experiment_spec.h"
#include "services/api/data/lifecycle.h"
#include "services/api/data/records.h"
#include "services/api/experiment/inputs.h"
#include "services/api/experiment/kills.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/resources.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

// One history row for each object that was made.
// Children of a set that is written at once. Larger ones take so long that others would notice.
constexpr std::size_t kMostQuickChildren = 200;

constexpr char kInsertCreations[] = R"sql(
  INSERT INTO transitions (root_uid, object, from_state, to_state, actor)
  SELECT $1, number || CASE WHEN child > 0 THEN '.' || child ELSE '' END, '', state, $2
  FROM experiments
  WHERE root_uid = $1
  UNION ALL
  SELECT $1, e.number || CASE WHEN e.child > 0 THEN '.' || e.child ELSE '' END || '.' || j.name, '', j.state, $2
  FROM jobs j
  JOIN experiments e ON e.uid = j.experiment_uid
  WHERE j.root_uid = $1
)sql";

constexpr char kSelectRevision[] = R"sql(
  SELECT p.user_uid, p.uid, r.tree_id
  FROM revisions r
  JOIN projects p ON p.uid = r.project_uid
  JOIN users u ON u.uid = p.user_uid
  WHERE u.name = $1 AND p.name = $2 AND r.commit_id = $3 AND (p.user_uid = $4 OR $5)
)sql";

constexpr char kCountExperiments[] = R"sql(
  UPDATE users
  SET last_experiment = last_experiment + 1, experiments = experiments + $2
  WHERE uid = $1
  RETURNING last_experiment, experiments,
    COALESCE((SELECT stored_bytes FROM user_usage WHERE user_uid = users.uid), 0) AS stored_bytes
)sql";

constexpr char kInsertRoot[] = R"sql(
  INSERT INTO experiments (
    uid, root_uid, user_uid, number, kind, project_uid, commit_id, tree_id, state, spec, config_text,
    concurrency, child_count, labels, display_name, description, client_version)
  VALUES ($1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
)sql";

// A node sends the end of a log after all results, which are final from then on.
constexpr char kTakeReport[] = R"sql(
  UPDATE attempts
  SET result_sequence = $3
  WHERE job_uid = $1 AND number = $2 AND result_sequence < $3 AND NOT (end_time IS NOT NULL AND log_state = 'COMPLETE')
)sql";

constexpr char kAddResults[] = R"sql(
  UPDATE experiments
  SET result = result || $2::jsonb, version = version + 1
  WHERE uid = $1 AND octet_length((result || $2::jsonb)::text) <= $3
)sql";

// Checks a report that was not taken: it is repeated, or it comes too late.
absl::Status CheckReportedBefore(pqxx::transaction_base& tx, const std::string& job_uid, int attempt,
                                 std::int64_t sequence) {
  const auto known =
      sql::Query(tx, "SELECT 1 FROM attempts WHERE job_uid = $1 AND number = $2 AND result_sequence >= $3", job_uid,
                 attempt, sequence);
  if (!known.empty()) return absl::OkStatus();
  return Error(Reason::kPermissionDenied, "the attempt of this token has ended, and its results stand");
}

std::string ToJson(const google::protobuf::Map<std::string, std::string>& map) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [key, value] : map) json[key] = value;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The rows of a new experiment or set, ready to be copied into the tables.
struct NewRows {
  std::string root_uid;
  std::int64_t number = 0;
  std::vector<std::string> child_uids;
};

void InsertJobs(pqxx::transaction_base& tx, const v1::TrainSpec& spec, const NewRows& rows, bool needs_build,
                bool is_set) {
  pqxx::stream_to jobs(tx, "jobs",
                       std::vector<std::string>{"uid", "experiment_uid", "root_uid", "role", "name", "state", "cpus",
                                                "memory_bytes", "gpus", "wait_reason", "wait_message"});
  const auto add = [&](const std::string& experiment_uid, absl::string_view role, JobState state,
                       const std::string& wait_reason, const std::string& wait_message) {
    const v1::Resources resources = ResourcesOf(spec, role);
    jobs << std::make_tuple(NewUuid(), experiment_uid, rows.root_uid, std::string(role), std::string(role),
                            std::string(Name(state)), resources.cpus(), MemoryBytes(resources), resources.gpus(),
                            wait_reason, wait_message);
  };
  if (needs_build) add(rows.root_uid, kBuildRole, JobState::kPending, "", "");
  const std::string wait_build = absl::StrCat("waits for ", rows.number, ".build");
  if (!is_set) {
    if (needs_build)
      add(rows.root_uid, kTrainRole, JobState::kCreated, "BUILD", wait_build);
    else
      add(rows.root_uid, kTrainRole, JobState::kPending, "", "");
  }
  for (const std::string& child : rows.child_uids)
    add(child, kTrainRole, JobState::kCreated, needs_build ? "BUILD" : "TURN",
        needs_build ? wait_build : "waits for its turn in the set");
  jobs.complete();
}

void InsertChildren(pqxx::transaction_base& tx, const v1::TrainSpec& spec, const std::vector<Parameters>& combinations,
                    const ExperimentStore::RevisionKey& revision, const std::string& commit, NewRows& rows) {
  pqxx::stream_to children(
      tx, "experiments",
      std::vector<std::string>{"uid", "root_uid", "user_uid", "number", "child", "kind", "project_uid", "commit_id",
                               "tree_id", "state", "parameters", "concurrency"});
  std::int64_t child = 0;
  for (const Parameters& parameters : combinations) {
    const std::string& uid = rows.child_uids.emplace_back(NewUuid());
    children << std::make_tuple(uid, rows.root_uid, revision.user_uid, rows.number, ++child, std::string("EXPERIMENT"),
                                revision.project_uid, commit, revision.tree, std::string("CREATED"),
                                ParametersToJson(parameters), spec.concurrency());
  }
  children.complete();
}

enum class ProjectLock { kNone, kKeepsIt };

// A lock keeps the project from being deleted until the transaction ends.
absl::StatusOr<ExperimentStore::RevisionKey> ReadRevision(pqxx::transaction_base& tx, const rpc::Call& call,
                                                          const std::string& user, const std::string& project,
                                                          const std::string& commit, ProjectLock lock) {
  const auto rows =
      sql::Query(tx, absl::StrCat(kSelectRevision, lock == ProjectLock::kKeepsIt ? "FOR KEY SHARE OF p" : ""), user,
                 project, commit, call.caller.user_uid(), IsAdmin(call));
  if (rows.empty())
    return Error(Reason::kNotFound, absl::StrCat(Print(RevisionName{user, project, commit}), " not found"));
  return ExperimentStore::RevisionKey{rows[0][0].as<std::string>(), rows[0][1].as<std::string>(),
                                      rows[0][2].as<std::string>()};
}

v1::Experiment LoadOne(pqxx::transaction_base& tx, const std::string& uid, bool with_jobs, const ViewOptions& options) {
  v1::Experiment out = std::move(LoadExperiments(tx, {uid}, with_jobs, options).at(0));
  if (v1::UsedEnvironment used = LoadUsedEnvironment(tx, uid);
      with_jobs && !(used.key().empty() && used.built_because().empty()))
    *out.mutable_environment() = std::move(used);
  if (with_jobs)
    for (v1::Job& job : LoadJobsOf(tx, uid)) *out.add_jobs() = std::move(job);
  return out;
}

// Counts new experiments for their owner and returns the number of their root. Locks the owner's row.
absl::StatusOr<std::int64_t> NextNumber(pqxx::transaction_base& tx, const rpc::Call& call, const std::string& user,
                                        const std::string& user_uid, std::int64_t made, const UserLimits& limits) {
  const pqxx::row row = sql::QueryRow(tx, kCountExperiments, user_uid, made);
  const std::int64_t kept = row[1].as<std::int64_t>(), bytes = row[2].as<std::int64_t>();
  if (limits.experiments >= 0 && kept > limits.experiments)
    return LimitExceeded(
        absl::StrCat("user ", user, " has ", kept - made, " experiments and may have ", limits.experiments,
                     ", this is ", made, " more; delete some that nobody needs: riseml rm ID"),
        limits.experiments, kept);
  RISEML_RETURN_IF_ERROR(CheckRoom(call, user, bytes, 0, limits));
  return row[0].as<std::int64_t>();
}

}  // namespace

absl::StatusOr<ExperimentStore::RevisionKey> ExperimentStore::FindRevision(const rpc::Call& call,
                                                                           const std::string& user,
                                                                           const std::string& project,
                                                                           const std::string& commit) {
  return db_.Read("find revision",
                  [&](pqxx::work& tx) { return ReadRevision(tx, call, user, project, commit, ProjectLock::kNone); });
}

absl::StatusOr<std::optional<v1::Experiment>> ExperimentStore::FindReplay(const rpc::Call& call,
                                                                          const v1::CreateExperimentRequest& request) {
  const std::string hash = HashWithoutId(request);
  return db_.Read("find request", [&](pqxx::work& tx) -> absl::StatusOr<std::optional<v1::Experiment>> {
    RISEML_ASSIGN_OR_RETURN(const std::optional<std::string> seen, FindRequest(tx, call, request.request_id(), hash));
    if (!seen) return std::optional<v1::Experiment>();
    return std::optional<v1::Experiment>(LoadOne(tx, *seen, true, options_));
  });
}

absl::StatusOr<v1::Experiment> ExperimentStore::Create(const rpc::Call& call, const NewExperiment& wanted) {
  const std::string hash = HashWithoutId(wanted.request);
  absl::StatusOr<v1::Experiment> made = CreateOnce(call, wanted, hash);
  // If two calls with one request_id run at once, the second meets the first one's row and returns its experiment.
  if (absl::IsAlreadyExists(made.status()) && !wanted.request.request_id().empty()) {
    RISEML_ASSIGN_OR_RETURN(std::optional<v1::Experiment> replay, FindReplay(call, wanted.request));
    if (replay) return *std::move(replay);
  }
  return made;
}

absl::StatusOr<v1::Experiment> ExperimentStore::CreateOnce(const rpc::Call& call, const NewExperiment& wanted,
                                                           const std::string& hash) {
  const v1::CreateExperimentRequest& request = wanted.request;
  RISEML_ASSIGN_OR_RETURN(const UserName owner, ParseUserName(request.parent()));
  v1::TrainSpec spec = ToTrainSpec(*wanted.spec.train);
  if (request.has_git()) *spec.mutable_git() = request.git();
  if (spec.priority() > 0 && call.caller.role() != v1::User::ADMIN)
    return Error(Reason::kPermissionDenied,
                 absl::StrCat("only an administrator may give a priority above 0, not ", spec.priority(),
                              ": write priority: 0 or less, or leave the key out"));
  spec.set_rebuild(request.rebuild());
  spec.set_base_image(wanted.base_image);
  const std::vector<Parameters> combinations =
      spec.is_set() ? spec::Combinations(*wanted.spec.train) : std::vector<Parameters>();
  Database& db = combinations.size() > kMostQuickChildren ? bulk_ : db_;
  return db.Write("create experiment", [&](pqxx::work& tx) -> absl::StatusOr<v1::Experiment> {
    RISEML_ASSIGN_OR_RETURN(const RevisionKey revision, ReadRevision(tx, call, owner.user, request.project(),
                                                                     request.revision(), ProjectLock::kKeepsIt));
    RISEML_ASSIGN_OR_RETURN(const std::vector<v1::Input> inputs,
                            ResolveInputs(tx, call, owner.user, wanted.spec.train->inputs));
    spec.mutable_inputs()->Assign(inputs.begin(), inputs.end());
    NewRows rows;
    rows.root_uid = NewUuid();
    RememberRequest(tx, call, request.request_id(), hash, rows.root_uid);
    RISEML_ASSIGN_OR_RETURN(rows.number,
                            NextNumber(tx, call, owner.user, revision.user_uid, 1 + std::ssize(combinations), limits_));
    const std::string state = wanted.needs_build ? "BUILDING" : "PENDING";
    sql::Query(tx, kInsertRoot, rows.root_uid, revision.user_uid, rows.number, spec.is_set() ? "SET" : "EXPERIMENT",
               revision.project_uid, request.revision(), revision.tree, state,
               pqxx::binarystring(spec.SerializeAsString()), request.config_text(), spec.concurrency(),
               static_cast<int>(combinations.size()), ToJson(request.labels()), request.display_name(),
               request.description(), request.client_version());
    RecordInputs(tx, rows.root_uid, spec);
    if (spec.is_set()) {
      InsertChildren(tx, spec, combinations, revision, request.revision(), rows);
      CountNewChildren(tx, rows.root_uid, static_cast<int>(combinations.size()));
    }
    InsertJobs(tx, spec, rows, wanted.needs_build, spec.is_set());
    sql::Query(tx, kInsertCreations, rows.root_uid, call.caller.user());
    if (spec.is_set() && !wanted.needs_build) ReleaseChildren(tx, rows.root_uid, spec.concurrency(), {});
    RecordFeed(tx, rows.root_uid, FeedKind::kAll);
    v1::Experiment made = LoadOne(tx, rows.root_uid, true, options_);
    RecordAudit(tx, call, made.name());
    return made;
  });
}

absl::StatusOr<v1::Experiment> ExperimentStore::Get(const rpc::Call& call, const std::string& name) {
  return db_.Snapshot("get experiment", [&](pqxx::work& tx) -> absl::StatusOr<v1::Experiment> {
    RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, call, name));
    return LoadOne(tx, key.uid, true, options_);
  });
}

absl::StatusOr<v1::Experiment> ExperimentStore::Kill(const rpc::Call& call, const v1::KillExperimentRequest& request) {
  const std::string hash = HashWithoutId(request);
  bool in_pieces = true;  // a repeated request also kills what the first one left
  const auto mark = [&](pqxx::work& tx) -> absl::StatusOr<ExperimentKey> {
    RISEML_ASSIGN_OR_RETURN(const std::optional<std::string> seen, FindRequest(tx, call, request.request_id(), hash));
    RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, call, request.name()));
    if (seen) return key;
    if (!LockRoot(tx, key.root_uid)) return FindExperiment(tx, call, request.name()).status();
    const pqxx::row row = sql::QueryRow(
        tx, "SELECT state, kill_wanted, child, kind = 'SET' AS is_set FROM experiments WHERE uid = $1", key.uid);
    in_pieces = row["is_set"].as<bool>();
    const ExperimentState state = ParseExperimentState(row["state"].c_str());
    if (IsTerminal(state) && state != ExperimentState::kKilled)
      return Error(Reason::kExperimentDone,
                   absl::StrCat("experiment ", ShortId(key.name), " is ", Name(state), " already"));
    if (!IsTerminal(state) && !row["kill_wanted"].as<bool>()) {
      const auto child = row["child"].as<std::int64_t>();
      api::Kill(tx, key.root_uid, child > 0 ? ChildRange{child, child} : kFirstPiece, call.caller.user());
      RecordAudit(tx, call, Print(key.name));
    }
    RememberRequest(tx, call, request.request_id(), hash, key.root_uid);
    return key;
  };
  RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, db_.Write("kill experiment", mark));
  if (in_pieces && key.uid == key.root_uid) RISEML_RETURN_IF_ERROR(KillChildren(db_, key.root_uid, call.caller.user()));
  return Get(call, request.name());
}

absl::StatusOr<v1::Job> ExperimentStore::GetJob(const rpc::Call& call, const std::string& name) {
  return db_.Snapshot("get job", [&](pqxx::work& tx) -> absl::StatusOr<v1::Job> {
    RISEML_ASSIGN_OR_RETURN(const JobKey key, FindJob(tx, call, name));
    return std::move(LoadJobs(tx, {key.uid}, true).at(0));
  });
}

absl::Status ExperimentStore::ReportResults(const rpc::Call& call, const v1::ReportResultsRequest& request) {
  constexpr int kMaxResults = 256;
  constexpr std::size_t kMaxBytes = 64 << 10;
  constexpr int kMaxStoredBytes = 256 << 10;  // all reports of an experiment together
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(request.results(), &json).ok() || json.size() > kMaxBytes ||
      request.results().fields_size() > kMaxResults)
    return Error(Reason::kInvalidArgument, "results must be at most 256 values and 64 KiB of JSON");
  for (const auto& [name, value] : request.results().fields())
    if (value.has_list_value() || value.has_struct_value() || name.empty() || name.size() > 255 ||
        absl::StrContains(name, '\0') || absl::StrContains(value.string_value(), '\0'))
      return Error(Reason::kInvalidArgument,
                   absl::StrCat("result '", absl::CHexEscape(name),
                                "' must be a number, a text or a boolean with a name of 1 to 255 characters; U+0000 is "
                                "not allowed"));
  return db_.Write("report results", [&](pqxx::work& tx) -> absl::Status {
    const auto job = ReadJob(tx, call.caller.job_uid());
    if (!job) return Error(Reason::kNotFound, "the job of this token does not exist any more");
    if (!LockRoot(tx, job->root_uid)) return Error(Reason::kNotFound, "the experiment of this token was deleted");
    const auto taken = sql::Query(tx, kTakeReport, job->uid, call.caller.attempt(), request.sequence());
    if (taken.affected_rows() == 0) return CheckReportedBefore(tx, job->uid, call.caller.attempt(), request.sequence());
    const auto stored = sql::Query(tx, kAddResults, job->experiment_uid, json, kMaxStoredBytes);
    if (stored.affected_rows() == 0)
      return Error(Reason::kLimitExceeded, "all results of an experiment together may have at most 256 KiB of JSON");
    RecordFeed(tx, job->root_uid, FeedKind::kExperiment, job->experiment_uid);
    RecordAudit(tx, call, job->object);
    return absl::OkStatus();
  });
}

}  // namespace riseml::api
