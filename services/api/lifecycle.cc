#include "services/api/lifecycle.h"

#include "absl/strings/str_cat.h"
#include "services/api/experiment_spec.h"
#include "services/api/records.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr int kMostFailedNamed = 3;

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
      tx,
      "SELECT root_uid, number, child, state, kill_wanted, kind = 'SET', concurrency FROM experiments WHERE uid = $1",
      uid);
  return {uid,
          row[0].as<std::string>(),
          ObjectOf(row[1].as<std::int64_t>(), row[2].as<std::int64_t>()),
          row[2].as<std::int64_t>(),
          ParseExperimentState(row[3].c_str()),
          row[4].as<bool>(),
          row[5].as<bool>(),
          row[6].as<int>()};
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
  // The first that failed decides, else the first that was killed.
  for (const auto& row : sql::Query(tx,
                                    "SELECT role, state, reason, message FROM jobs WHERE experiment_uid = $1 ORDER BY "
                                    "CASE state WHEN 'FAILED' THEN 0 WHEN 'KILLED' THEN 1 ELSE 2 END, end_time, name",
                                    experiment.uid)) {
    const JobState state = ParseJobState(row[1].c_str());
    if (row[0].as<std::string>() == kBuildRole) {
      out.build = state;
      out.reason = row[2].as<std::string>();
      out.message = row[3].as<std::string>();
      continue;
    }
    if (out.others.empty()) {
      first_reason = row[2].as<std::string>();
      first_message = row[3].as<std::string>();
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

// Keeps child_counts in step: `count` children of a set have moved.
void CountMove(pqxx::transaction_base& tx, const std::string& root_uid, absl::string_view from, absl::string_view to,
               int count) {
  if (count == 0) return;
  sql::Query(tx,
             "INSERT INTO child_counts (root_uid, state, count) VALUES ($1, $2, -$4::int), ($1, $3, $4) "
             "ON CONFLICT (root_uid, state) DO UPDATE SET count = child_counts.count + EXCLUDED.count",
             root_uid, std::string(from), std::string(to), count);
}

void UpdateExperiment(pqxx::transaction_base& tx, const ExperimentRow& experiment, ExperimentState to,
                      const std::string& reason, const std::string& message) {
  sql::Query(
      tx,
      "UPDATE experiments SET state = $2, reason = $3, message = $4, version = version + 1, "
      "start_time = CASE WHEN start_time IS NULL AND $2 IN ('STARTING', 'RUNNING') THEN now() ELSE start_time END, "
      "run_time = CASE WHEN run_time IS NULL AND $2 = 'RUNNING' THEN now() ELSE run_time END, "
      "end_time = CASE WHEN $2 IN ('FINISHED', 'FAILED', 'KILLED') THEN COALESCE((SELECT max(j.end_time) FROM jobs j "
      "WHERE j.experiment_uid = $1 OR j.root_uid = $1), now()) ELSE end_time END WHERE uid = $1",
      experiment.uid, std::string(Name(to)), reason, message);
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

ChildCounts CountChildren(pqxx::transaction_base& tx, const std::string& root_uid) {
  ChildCounts counts;
  for (const auto& row :
       sql::Query(tx, "SELECT state, count FROM child_counts WHERE root_uid = $1 AND count > 0", root_uid))
    counts.by_state[static_cast<int>(ParseExperimentState(row[0].c_str()))] = row[1].as<int>();
  return counts;
}

void UpdateJob(pqxx::transaction_base& tx, const JobRow& job, JobState to, const Cause& cause) {
  sql::Query(
      tx,
      "UPDATE jobs SET state = $2, reason = $3, message = $4, exit_code = COALESCE($5::text::int, exit_code), version "
      "= version + 1, "
      "attempt_count = $6, "
      "wait_reason = '', wait_message = '', "
      "start_time = CASE WHEN start_time IS NULL AND $2 = 'RUNNING' THEN now() ELSE start_time END, "
      "end_time = CASE WHEN $2 IN ('FINISHED', 'FAILED', 'KILLED') THEN LEAST(now(), GREATEST(start_time, "
      "COALESCE(to_timestamp($7::text::float8 / 1e6), now()))) ELSE end_time END WHERE uid = $1",
      job.uid, std::string(Name(to)), cause.reason, cause.message,
      cause.exit_code ? std::make_unique<std::string>(std::to_string(*cause.exit_code)) : nullptr, job.attempt_count,
      cause.time ? std::make_unique<std::string>(std::to_string(*cause.time)) : nullptr);
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

// Kills in one statement every job of the range that has no live attempt, and the children that are done with it.
void KillWaiting(pqxx::transaction_base& tx, const std::string& root_uid, const ChildRange& range,
                 const std::string& reason, const std::string& message, const std::string& actor) {
  sql::Query(
      tx,
      "WITH killed AS ("
      "  UPDATE jobs j SET state = 'KILLED', reason = $4, message = $5, wait_reason = '', wait_message = '', end_time "
      "= now(), "
      "    version = j.version + 1 FROM experiments e JOIN jobs old ON old.experiment_uid = e.uid "
      "  WHERE j.uid = old.uid AND e.root_uid = $1 AND e.child BETWEEN $2 AND $3 AND j.state IN ('CREATED', 'PENDING') "
      "  RETURNING j.uid, e.number, e.child, j.name, old.state AS old_state), "
      "history AS ("
      "  INSERT INTO transitions (root_uid, object, from_state, to_state, reason, message, actor) "
      "  SELECT $1, number || CASE WHEN child > 0 THEN '.' || child ELSE '' END || '.' || name, old_state, "
      "'KILLED', $4, $5, $6 FROM killed) "
      "INSERT INTO feed (root_uid, kind, uid) SELECT $1, 'JOB', uid FROM killed",
      root_uid, range.first, range.last, reason, message, actor);
  // Children (only they: the root is settled by its own rules) all of whose jobs have ended without one having run.
  const auto moved = sql::Query(
      tx,
      "WITH killed AS ("
      "  UPDATE experiments e SET state = 'KILLED', reason = $4, message = $5, end_time = now(), version = e.version + "
      "1 "
      "  FROM experiments old WHERE e.uid = old.uid AND e.root_uid = $1 AND e.child > 0 AND e.child BETWEEN $2 AND $3 "
      "    AND e.state IN ('CREATED', 'PENDING') "
      "  RETURNING e.uid, e.number, e.child, old.state AS old_state), "
      "history AS ("
      "  INSERT INTO transitions (root_uid, object, from_state, to_state, reason, message, actor) "
      "  SELECT $1, number || '.' || child, old_state, 'KILLED', $4, $5, $6 FROM killed), "
      "told AS (INSERT INTO feed (root_uid, kind, uid) SELECT $1, 'EXPERIMENT', uid FROM killed) "
      "SELECT old_state, count(*) FROM killed GROUP BY old_state",
      root_uid, range.first, range.last, reason, message, actor);
  for (const auto& row : moved)
    CountMove(tx, root_uid, row[0].c_str(), Name(ExperimentState::kKilled), row[1].as<int>());
}

// Settles the environment and the jobs that waited for a build that has ended.
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
  const auto rows =
      sql::Query(tx,
                 "SELECT j.experiment_uid, j.root_uid, j.role, j.name, j.state, j.kill_wanted, j.attempt_count, "
                 "e.number, e.child, "
                 "j.killed_by FROM jobs j JOIN experiments e ON e.uid = j.experiment_uid WHERE j.uid = $1",
                 job_uid);
  if (rows.empty()) return std::nullopt;
  const pqxx::row row = rows[0];
  return JobRow{job_uid,
                row[0].as<std::string>(),
                row[1].as<std::string>(),
                row[2].as<std::string>(),
                row[3].as<std::string>(),
                absl::StrCat(ObjectOf(row[7].as<std::int64_t>(), row[8].as<std::int64_t>()), ".", row[3].c_str()),
                ParseJobState(row[4].c_str()),
                row[5].as<bool>(),
                row[9].as<std::string>(),
                row[6].as<int>()};
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

void CountNewChildren(pqxx::transaction_base& tx, const std::string& root_uid, int count) {
  sql::Query(tx, "INSERT INTO child_counts (root_uid, state, count) VALUES ($1, $2, $3)", root_uid,
             std::string(Name(ExperimentState::kCreated)), count);
}

void ReleaseChildren(pqxx::transaction_base& tx, const std::string& root_uid, int count, const ChildCounts& children) {
  // Arrays make the planner expect few: for a plan that serves any number, it would read the whole table.
  const int released =
      sql::QueryRow(
          tx,
          "WITH next AS ("
          "  SELECT uid, number, child FROM experiments WHERE root_uid = $1 AND child > $3 AND state = 'CREATED' "
          "ORDER BY "
          "child LIMIT $2), "
          "moved AS (UPDATE experiments SET state = 'PENDING', version = version + 1 WHERE uid = ANY (ARRAY (SELECT "
          "uid FROM next))), "
          "jobs_moved AS ("
          "  UPDATE jobs j SET state = 'PENDING', wait_reason = '', wait_message = '', version = version + 1 WHERE "
          "j.experiment_uid = ANY (ARRAY (SELECT uid FROM next)) AND "
          "j.state = 'CREATED' "
          "  RETURNING j.uid, j.experiment_uid, j.name), "
          "history AS ("
          "  INSERT INTO transitions (root_uid, object, from_state, to_state, actor) "
          "  SELECT $1, number || '.' || child, 'CREATED', 'PENDING', 'api' FROM next "
          "  UNION ALL SELECT $1, n.number || '.' || n.child || '.' || j.name, 'CREATED', 'PENDING', 'api' "
          "  FROM jobs_moved j JOIN next n ON n.uid = j.experiment_uid), "
          "told AS (INSERT INTO feed (root_uid, kind, uid) "
          "  SELECT $1, 'EXPERIMENT', uid FROM next UNION ALL SELECT $1, 'JOB', uid FROM jobs_moved) "
          "SELECT count(*) FROM next",
          root_uid, count, children.FirstCreatedBehind())[0]
          .as<int>();
  CountMove(tx, root_uid, Name(ExperimentState::kCreated), Name(ExperimentState::kPending), released);
}

// "2 of 3 experiments failed: 5.1, 5.3".
std::string FailureOf(pqxx::transaction_base& tx, const ExperimentRow& set, const ChildCounts& children) {
  const int failed = children.Of(ExperimentState::kFailed);
  std::string out = absl::StrCat(failed, " of ", children.Total(), " experiments failed");
  const char* separator = ": ";
  for (const auto& row : sql::Query(tx,
                                    "SELECT child FROM experiments WHERE root_uid = $1 AND child > 0 AND state = "
                                    "'FAILED' ORDER BY child LIMIT $2",
                                    set.uid, kMostFailedNamed)) {
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
  const auto wanted = sql::Query(
      tx,
      "UPDATE experiments SET kill_wanted = true, version = version + 1 WHERE root_uid = $1 AND child BETWEEN $2 AND "
      "$3 AND NOT kill_wanted AND state NOT IN ('FINISHED', 'FAILED', 'KILLED') RETURNING uid",
      root_uid, range.first, range.last);
  sql::Query(
      tx,
      "WITH wanted AS (UPDATE jobs j SET kill_wanted = true, killed_by = CASE WHEN killed_by = '' THEN $4 ELSE "
      "killed_by END, version = j.version + 1 FROM experiments e WHERE j.experiment_uid = e.uid AND e.root_uid = $1 "
      "AND e.child BETWEEN $2 AND $3 AND NOT j.kill_wanted AND j.state NOT IN ('FINISHED', 'FAILED', 'KILLED') "
      "RETURNING j.uid, j.state) "
      "INSERT INTO feed (root_uid, kind, uid) SELECT $1, 'JOB', uid FROM wanted WHERE state <> 'CREATED'",
      root_uid, range.first, range.last, actor);
  KillWaiting(tx, root_uid, range, "KILLED", absl::StrCat("killed by ", actor), actor);
  if (range.first == range.last && wanted.size() == 1)
    RecordFeed(tx, root_uid, FeedKind::kExperiment, wanted[0][0].as<std::string>());
  SettleExperiment(tx, root_uid);
}

}  // namespace riseml::api
