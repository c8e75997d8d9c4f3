#include "services/api/data/lifecycle.h"

#include "absl/strings/str_cat.h"
#include "services/api/data/child_counts.h"
#include "services/api/data/experiment_spec.h"
#include "services/api/data/records.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr int kMostFailedNamed = 3;

// The first failed job decides, otherwise the first killed one.
constexpr char kSelectOwnJobs[] = R"sql(
  SELECT role, state, reason, message
  FROM jobs
  WHERE experiment_uid = $1
  ORDER BY CASE state WHEN 'FAILED' THEN 0 WHEN 'KILLED' THEN 1 ELSE 2 END, end_time, name
)sql";

constexpr char kMoveExperiment[] = R"sql(
  UPDATE experiments SET
    state = $2, reason = $3, message = $4, version = version + 1,
    start_time = CASE WHEN start_time IS NULL AND $2 IN ('STARTING', 'RUNNING') THEN now() ELSE start_time END,
    run_time = CASE WHEN run_time IS NULL AND $2 = 'RUNNING' THEN now() ELSE run_time END,
    end_time = CASE
      WHEN $2 IN ('FINISHED', 'FAILED', 'KILLED')
      THEN COALESCE((SELECT max(j.end_time) FROM jobs j WHERE j.experiment_uid = $1 OR j.root_uid = $1), now())
      ELSE end_time
    END
  WHERE uid = $1
)sql";

constexpr char kMoveJob[] = R"sql(
  UPDATE jobs SET
    state = $2, reason = $3, message = $4, version = version + 1, attempt_count = $6,
    exit_code = COALESCE($5::text::int, exit_code),
    wait_reason = '', wait_message = '',
    start_time = CASE WHEN start_time IS NULL AND $2 = 'RUNNING' THEN now() ELSE start_time END,
    end_time = CASE
      WHEN $2 IN ('FINISHED', 'FAILED', 'KILLED')
      THEN LEAST(now(), GREATEST(start_time, COALESCE(to_timestamp($7::text::float8 / 1e6), now())))
      ELSE end_time
    END
  WHERE uid = $1
)sql";

// Every job of the range that has no live attempt.
constexpr char kKillWaitingJobs[] = R"sql(
  WITH killed AS (
    UPDATE jobs j
    SET state = 'KILLED', reason = $4, message = $5, wait_reason = '', wait_message = '', end_time = now(),
      version = j.version + 1
    FROM experiments e
    JOIN jobs old ON old.experiment_uid = e.uid
    WHERE j.uid = old.uid AND e.root_uid = $1 AND e.child BETWEEN $2 AND $3 AND j.state IN ('CREATED', 'PENDING')
    RETURNING j.uid, e.number, e.child, j.name, old.state AS old_state),
  history AS (
    INSERT INTO transitions (root_uid, object, from_state, to_state, reason, message, actor)
    SELECT $1, number || CASE WHEN child > 0 THEN '.' || child ELSE '' END || '.' || name, old_state, 'KILLED',
      $4, $5, $6
    FROM killed)
  INSERT INTO feed (root_uid, kind, uid)
  SELECT $1, 'JOB', uid
  FROM killed
)sql";

// Children all of whose jobs have ended without one having run. The root is settled by its own rules.
constexpr char kKillWaitingChildren[] = R"sql(
  WITH killed AS (
    UPDATE experiments e
    SET state = 'KILLED', reason = $4, message = $5, end_time = now(), version = e.version + 1
    FROM experiments old
    WHERE e.uid = old.uid AND e.root_uid = $1 AND e.child > 0 AND e.child BETWEEN $2 AND $3
      AND e.state IN ('CREATED', 'PENDING')
    RETURNING e.uid, e.number, e.child, old.state AS old_state),
  history AS (
    INSERT INTO transitions (root_uid, object, from_state, to_state, reason, message, actor)
    SELECT $1, number || '.' || child, old_state, 'KILLED', $4, $5, $6
    FROM killed),
  told AS (
    INSERT INTO feed (root_uid, kind, uid)
    SELECT $1, 'EXPERIMENT', uid
    FROM killed)
  SELECT old_state, count(*)
  FROM killed
  GROUP BY old_state
)sql";

constexpr char kSelectFailed[] =
    "SELECT child FROM experiments WHERE root_uid = $1 AND child > 0 AND state = 'FAILED' ORDER BY child LIMIT $2";

constexpr char kSelectJob[] = R"sql(
  SELECT j.experiment_uid, j.root_uid, j.role, j.name, j.state, j.kill_wanted, j.killed_by, j.attempt_count,
    e.number, e.child
  FROM jobs j
  JOIN experiments e ON e.uid = j.experiment_uid
  WHERE j.uid = $1
)sql";

constexpr char kMarkExperiments[] = R"sql(
  UPDATE experiments
  SET kill_wanted = true, version = version + 1
  WHERE root_uid = $1 AND child BETWEEN $2 AND $3
    AND NOT kill_wanted AND state NOT IN ('FINISHED', 'FAILED', 'KILLED')
  RETURNING uid
)sql";

constexpr char kMarkJobs[] = R"sql(
  WITH wanted AS (
    UPDATE jobs j
    SET kill_wanted = true, version = j.version + 1,
      killed_by = CASE WHEN killed_by = '' THEN $4 ELSE killed_by END
    FROM experiments e
    WHERE j.experiment_uid = e.uid AND e.root_uid = $1 AND e.child BETWEEN $2 AND $3
      AND NOT j.kill_wanted AND j.state NOT IN ('FINISHED', 'FAILED', 'KILLED')
    RETURNING j.uid, j.state)
  INSERT INTO feed (root_uid, kind, uid)
  SELECT $1, 'JOB', uid
  FROM wanted
  WHERE state <> 'CREATED'
)sql";

struct ExperimentRow {
  std::string uid, root_uid, object;
  std::int64_t child = 0;
  ExperimentState state = ExperimentState::kCreated;
  bool kill_wanted = false;
  bool is_set = false;
  int concurrency = 1;
};

std::string ObjectOf(std::int64_t number, std::int64_t child) {
  return child == 0 ? absl::StrCat(number) : absl::StrCat(number, ".", child);
}

ExperimentRow ReadExperiment(pqxx::transaction_base& tx, const std::string& uid) {
  const pqxx::row row = sql::QueryRow(
      tx, "SELECT root_uid, number, child, state, kill_wanted, kind, concurrency FROM experiments WHERE uid = $1", uid);
  const auto child = row["child"].as<std::int64_t>();
  return {.uid = uid,
          .root_uid = row["root_uid"].as<std::string>(),
          .object = ObjectOf(row["number"].as<std::int64_t>(), child),
          .child = child,
          .state = ParseExperimentState(row["state"].c_str()),
          .kill_wanted = row["kill_wanted"].as<bool>(),
          .is_set = row["kind"].as<std::string>() == "SET",
          .concurrency = row["concurrency"].as<int>()};
}

// State and cause of an experiment's own jobs.
struct OwnJobs {
  std::optional<JobState> build;
  std::vector<JobState> others;
  std::string reason, message;  // of the job that decides
};

OwnJobs ReadOwnJobs(pqxx::transaction_base& tx, const ExperimentRow& experiment) {
  OwnJobs out;
  std::string first_reason, first_message;
  for (const auto& row : sql::Query(tx, kSelectOwnJobs, experiment.uid)) {
    const JobState state = ParseJobState(row["state"].c_str());
    if (row["role"].as<std::string>() == kBuildRole) {
      out.build = state;
      out.reason = row["reason"].as<std::string>();
      out.message = row["message"].as<std::string>();
      continue;
    }
    if (out.others.empty()) {
      first_reason = row["reason"].as<std::string>();
      first_message = row["message"].as<std::string>();
    }
    out.others.push_back(state);
  }
  const bool build_decides = out.build && *out.build != JobState::kFinished;
  if (build_decides && *out.build == JobState::kFailed) {
    out.message = absl::StrCat("its build ", experiment.object, ".", kBuildRole, " failed: ", out.message);
    out.reason = "BUILD_FAILED";
  } else if (!build_decides) {
    out.reason = first_reason;
    out.message = first_message;
  }
  return out;
}

void UpdateExperiment(pqxx::transaction_base& tx, const ExperimentRow& experiment, ExperimentState to,
                      const std::string& reason, const std::string& message) {
  sql::Query(tx, kMoveExperiment, experiment.uid, std::string(Name(to)), reason, message);
  if (experiment.child > 0) CountMove(tx, experiment.root_uid, Name(experiment.state), Name(to), 1);
  RecordTransition(tx, {.root_uid = experiment.root_uid,
                        .object = experiment.object,
                        .from = std::string(Name(experiment.state)),
                        .to = std::string(Name(to)),
                        .reason = reason,
                        .message = message,
                        .actor = "api"});
  RecordFeed(tx, experiment.root_uid, FeedKind::kExperiment, experiment.uid);
}

// Derives an experiment's (or child's) state from its jobs; a set is settled after its child.
void SettleExperiment(pqxx::transaction_base& tx, const std::string& uid) {
  const ExperimentRow experiment = ReadExperiment(tx, uid);
  if (experiment.is_set) return SettleSet(tx, uid);
  const OwnJobs jobs = ReadOwnJobs(tx, experiment);
  const ExperimentState to = DeriveState(jobs.build, jobs.others);
  if (to == experiment.state) return;
  UpdateExperiment(tx, experiment, to, jobs.reason, jobs.message);
  if (experiment.child > 0) SettleSet(tx, experiment.root_uid);
}

void UpdateJob(pqxx::transaction_base& tx, const JobRow& job, JobState to, const Cause& cause) {
  sql::Query(tx, kMoveJob, job.uid, std::string(Name(to)), cause.reason, cause.message,
             cause.exit_code ? std::make_unique<std::string>(std::to_string(*cause.exit_code)) : nullptr,
             job.attempt_count, cause.time ? std::make_unique<std::string>(std::to_string(*cause.time)) : nullptr);
  RecordTransition(tx, {.root_uid = job.root_uid,
                        .object = job.object,
                        .from = std::string(Name(job.state)),
                        .to = std::string(Name(to)),
                        .reason = cause.reason,
                        .message = cause.message,
                        .exit_code = cause.exit_code,
                        .actor = cause.actor});
  RecordFeed(tx, job.root_uid, FeedKind::kJob, job.uid);
}

// Kills every job of the range that has no live attempt, and the children that end with it.
void KillWaiting(pqxx::transaction_base& tx, const std::string& root_uid, const ChildRange& range,
                 const std::string& reason, const std::string& message, const std::string& actor) {
  sql::Query(tx, kKillWaitingJobs, root_uid, range.first, range.last, reason, message, actor);
  const auto moved = sql::Query(tx, kKillWaitingChildren, root_uid, range.first, range.last, reason, message, actor);
  for (const auto& row : moved)
    CountMove(tx, root_uid, row[0].c_str(), Name(ExperimentState::kKilled), row[1].as<int>());
}

// Settles the environment of a build that has ended, and the jobs that waited for it.
void AfterBuild(pqxx::transaction_base& tx, const JobRow& build, JobState state) {
  const bool ready = state == JobState::kFinished;
  sql::Query(tx, "UPDATE environments SET state = $2, update_time = now() WHERE build_job = $1 AND state = 'BUILDING'",
             build.uid, ready ? "READY" : "FAILED");
  if (!ready) {
    const absl::string_view how = state == JobState::kFailed ? " failed" : " was killed";
    KillWaiting(tx, build.root_uid, {}, "BUILD_FAILED", absl::StrCat("its build ", build.object, how), "api");
    return;
  }
  for (const auto& row :
       sql::Query(tx, "SELECT uid FROM jobs WHERE experiment_uid = $1 AND role <> $2 AND state = 'CREATED'",
                  build.experiment_uid, std::string(kBuildRole))) {
    JobRow job = *ReadJob(tx, row[0].as<std::string>());
    MoveJob(tx, job, JobEvent::kReleased, {.actor = "api"});
  }
}

}  // namespace

bool LockRoot(pqxx::transaction_base& tx, const std::string& root_uid) {
  return !sql::Query(tx, "SELECT 1 FROM experiments WHERE uid = $1 FOR NO KEY UPDATE", root_uid).empty();
}

std::optional<JobRow> ReadJob(pqxx::transaction_base& tx, const std::string& job_uid) {
  const auto rows = sql::Query(tx, kSelectJob, job_uid);
  if (rows.empty()) return std::nullopt;
  const pqxx::row row = rows[0];
  const std::string experiment = ObjectOf(row["number"].as<std::int64_t>(), row["child"].as<std::int64_t>());
  return JobRow{.uid = job_uid,
                .experiment_uid = row["experiment_uid"].as<std::string>(),
                .root_uid = row["root_uid"].as<std::string>(),
                .role = row["role"].as<std::string>(),
                .name = row["name"].as<std::string>(),
                .object = absl::StrCat(experiment, ".", row["name"].c_str()),
                .state = ParseJobState(row["state"].c_str()),
                .kill_wanted = row["kill_wanted"].as<bool>(),
                .killed_by = row["killed_by"].as<std::string>(),
                .attempt_count = row["attempt_count"].as<int>()};
}

bool MoveJob(pqxx::transaction_base& tx, JobRow& job, JobEvent event, const Cause& cause) {
  const std::optional<JobState> to = Next(job.state, event);
  if (!to) return false;
  if (event == JobEvent::kPlaced) ++job.attempt_count;
  UpdateJob(tx, job, *to, cause);
  job.state = *to;
  if (job.is_build() && IsTerminal(*to)) AfterBuild(tx, job, *to);
  SettleExperiment(tx, job.experiment_uid);
  return true;
}

// "2 of 3 experiments failed: 5.1, 5.3".
std::string FailureOf(pqxx::transaction_base& tx, const ExperimentRow& set, const ChildCounts& children) {
  const int failed = children.Of(ExperimentState::kFailed);
  std::string out = absl::StrCat(failed, " of ", children.Total(), " experiments failed");
  const char* separator = ": ";
  for (const auto& row : sql::Query(tx, kSelectFailed, set.uid, kMostFailedNamed)) {
    absl::StrAppend(&out, separator, set.object, ".", row[0].as<std::int64_t>());
    separator = ", ";
  }
  return failed > kMostFailedNamed ? out + ", …" : out;
}

void SettleSet(pqxx::transaction_base& tx, const std::string& root_uid) {
  const ExperimentRow set = ReadExperiment(tx, root_uid);
  const OwnJobs own = ReadOwnJobs(tx, set);
  ChildCounts children = CountChildren(tx, root_uid);
  const bool may_release = !set.kill_wanted && (!own.build || *own.build == JobState::kFinished);
  if (const int release = may_release ? ChildrenToRelease(children, set.concurrency) : 0; release > 0) {
    ReleaseChildren(tx, root_uid, release, children);
    children = CountChildren(tx, root_uid);
  }
  const ExperimentState to = DeriveSetState(own.build, children, set.kill_wanted);
  if (to == set.state) {
    // The counts of its children are part of a set's content.
    sql::Query(tx, "UPDATE experiments SET version = version + 1 WHERE uid = $1", root_uid);
    RecordFeed(tx, root_uid, FeedKind::kExperiment, root_uid);
    return;
  }
  std::string reason, message;
  if (to == ExperimentState::kFailed && own.build != JobState::kFailed) {
    reason = "ERROR";
    message = FailureOf(tx, set, children);
  } else if (IsTerminal(to)) {
    reason = to == ExperimentState::kFinished ? "COMPLETED" : to == ExperimentState::kKilled ? "KILLED" : own.reason;
    message = to == ExperimentState::kFailed ? own.message : "";
  }
  UpdateExperiment(tx, set, to, reason, message);
}

void Kill(pqxx::transaction_base& tx, const std::string& root_uid, const ChildRange& range, const std::string& actor) {
  const auto wanted = sql::Query(tx, kMarkExperiments, root_uid, range.first, range.last);
  sql::Query(tx, kMarkJobs, root_uid, range.first, range.last, actor);
  KillWaiting(tx, root_uid, range, "KILLED", absl::StrCat("killed by ", actor), actor);
  if (range.first == range.last && wanted.size() == 1)
    RecordFeed(tx, root_uid, FeedKind::kExperiment, wanted[0][0].as<std::string>());
  SettleExperiment(tx, root_uid);
}

}  // namespace riseml::api
