#include "services/api/scheduling/scheduling_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/api/data/lifecycle.h"
#include "services/api/data/page.h"
#include "services/api/data/records.h"
#include "services/api/data/stored_bytes.h"
#include "services/api/data/views.h"
#include "services/api/scheduling/plan_commit.h"
#include "services/api/scheduling/retries.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

using internal::v1::Observation;

// The end time that a node reports is clamped to between the start and now.
constexpr char kMoveAttempt[] = R"sql(
  UPDATE attempts SET
    state = $3,
    reason = $4,
    message = $5,
    exit_code = COALESCE($6::text::int, exit_code),
    exit_class = CASE WHEN $3 IN ('FINISHED', 'FAILED', 'KILLED') THEN $8 ELSE exit_class END,
    start_time = CASE WHEN start_time IS NULL AND $3 = 'RUNNING' THEN now() ELSE start_time END,
    end_time = CASE
      WHEN $3 IN ('FINISHED', 'FAILED', 'KILLED')
      THEN LEAST(now(), GREATEST(start_time, COALESCE(to_timestamp($7::text::float8 / 1e6), now())))
      ELSE end_time
    END
  WHERE job_uid = $1 AND number = $2
)sql";

constexpr char kCompleteUnusedLog[] = R"sql(
  UPDATE attempts
  SET log_state = 'COMPLETE'
  WHERE job_uid = $1 AND number = $2 AND start_time IS NULL AND log_state = 'OPEN'
)sql";

// A renewal (same holder, same epoch) keeps the epoch; everything else makes a new one. Epochs start at the current
// Unix time, so that nodes accept them even after the database was recreated or restored.
constexpr char kAcquireLeadership[] = R"sql(
  INSERT INTO leadership (name, holder, epoch, expire_time)
  VALUES ($1, $2, extract(epoch FROM now())::bigint, now() + make_interval(secs => $3))
  ON CONFLICT (name) DO UPDATE SET
    holder = EXCLUDED.holder,
    expire_time = EXCLUDED.expire_time,
    epoch = CASE
      WHEN leadership.holder = $2 AND leadership.epoch = $4 THEN leadership.epoch
      ELSE GREATEST(leadership.epoch + 1, EXCLUDED.epoch)
    END
  WHERE leadership.holder = $2 OR leadership.expire_time < now()
  RETURNING epoch
)sql";

constexpr char kSelectNodes[] = R"sql(
  SELECT n.name, n.content, (extract(epoch FROM n.update_time) * 1000000)::bigint AS update_micros,
    COALESCE(sum(j.cpus), 0) AS used_cpus,
    COALESCE(sum(j.memory_bytes), 0)::bigint AS used_memory_bytes,
    COALESCE(sum(j.gpus), 0) AS used_gpus
  FROM nodes n
  LEFT JOIN attempts a
    ON a.node = regexp_replace(n.name, '^nodes/', '') AND a.state IN ('STARTING', 'RUNNING', 'SUSPENDED')
  LEFT JOIN jobs j ON j.uid = a.job_uid
  WHERE n.name > $1
  GROUP BY n.name
  ORDER BY n.name
  LIMIT $2
)sql";

// Adds who leads, as metadata "holder" and "epoch".
absl::Status WithLeader(pqxx::transaction_base& tx, absl::Status status) {
  for (const auto& row :
       sql::Query(tx, "SELECT holder, epoch FROM leadership WHERE name = $1", std::string(kSchedulerActor)))
    status = WithMetadata(WithMetadata(std::move(status), "holder", row[0].c_str()), "epoch", row[1].c_str());
  return status;
}

// The shared lock on the leader's row makes a take-over wait until this transaction is done.
absl::Status CheckEpoch(pqxx::transaction_base& tx, std::int64_t epoch) {
  const auto rows = sql::Query(tx, "SELECT 1 FROM leadership WHERE name = $1 AND epoch = $2 FOR SHARE",
                               std::string(kSchedulerActor), epoch);
  if (!rows.empty()) return absl::OkStatus();
  return WithLeader(tx, Error(Reason::kNotLeader, absl::StrCat("epoch ", epoch, " is over: another scheduler leads")));
}

std::optional<AttemptEvent> EventOf(const Observation& observation) {
  switch (observation.event()) {
    case Observation::STARTED:
      return AttemptEvent::kStarted;
    case Observation::EXITED:
      return observation.exit_code() == 0 && observation.exit_class() == v1::Attempt::SUCCESS
                 ? AttemptEvent::kExitedOk
                 : AttemptEvent::kExitedBad;
    case Observation::STOPPED:
      return AttemptEvent::kStopped;
    case Observation::LOST:
      return AttemptEvent::kLost;
    case Observation::START_FAILED:
      return AttemptEvent::kStartFailed;
    case Observation::REJECTED:
      return AttemptEvent::kRejected;
    default:
      return std::nullopt;
  }
}

Cause CauseOf(const Observation& observation) {
  Cause cause{.reason = observation.reason(), .message = observation.message(), .actor = kSchedulerActor};
  if (observation.has_exit_code()) cause.exit_code = observation.exit_code();
  if (observation.has_time()) cause.time = absl::ToUnixMicros(FromProtoTime(observation.time()));
  return cause;
}

// True when the database rejected the data of a write.
bool IsRefused(const absl::Status& status) { return absl::IsInternal(status) || absl::IsInvalidArgument(status); }

// Moves a job by an event of its newest attempt.
void MoveByAttempt(pqxx::transaction_base& tx, JobRow& job, AttemptEvent event, const Observation& observation,
                   Cause cause) {
  JobEvent moved = JobEventOf(event);
  if (moved == JobEvent::kPreempted && job.kill_wanted) moved = JobEvent::kKilled;
  if (moved == JobEvent::kKilled && cause.message.empty() && !job.killed_by.empty())
    cause.message = absl::StrCat("killed by ", job.killed_by);
  std::optional<Retry> retry;
  if (moved == JobEvent::kFailed && !job.kill_wanted)
    retry = RetryOf(tx, job.uid, job.root_uid, observation.exit_class());
  if (retry) {
    moved = JobEvent::kRetried;
    absl::StrAppend(&cause.message, cause.message.empty() ? "" : "; ", "tried again in ",
                    absl::FormatDuration(retry->pause), ", retry ", retry->number, " of ", retry->most);
  }
  if (MoveJob(tx, job, moved, cause) && retry) DelayJob(tx, job.uid, *retry);
}

void ApplyToAttempt(pqxx::transaction_base& tx, JobRow& job, const Observation& observation, StoredBytes& stored) {
  std::optional<AttemptEvent> event = EventOf(observation);
  const auto rows =
      sql::Query(tx, "SELECT state, eviction_reason, eviction_message FROM attempts WHERE job_uid = $1 AND number = $2",
                 job.uid, observation.attempt());
  if (!event || rows.empty()) return;
  // Counts the output of a lost attempt too: it is still there.
  if (observation.output().has_bytes()) stored.TakeOutput(tx, job, observation.attempt(), observation.output());
  Cause cause = CauseOf(observation);
  if (std::string evicted = rows[0][1].as<std::string>(); event == AttemptEvent::kStopped && !evicted.empty()) {
    event = AttemptEvent::kPreempted;
    cause.reason = std::move(evicted);
    cause.message = rows[0][2].as<std::string>();
  }
  if (event == AttemptEvent::kStopped && !job.kill_wanted) {
    event = AttemptEvent::kExitedBad;
    cause.message = "it was stopped on its node, although nobody had asked for that";
  }
  const AttemptState from = ParseAttemptState(rows[0][0].c_str());
  const std::optional<AttemptState> to = Next(from, *event);
  if (!to) return;
  const auto exit_code = cause.exit_code ? std::make_unique<std::string>(std::to_string(*cause.exit_code)) : nullptr;
  sql::Query(tx, kMoveAttempt, job.uid, observation.attempt(), std::string(Name(*to)), cause.reason, cause.message,
             exit_code, cause.time ? std::make_unique<std::string>(std::to_string(*cause.time)) : nullptr,
             v1::Attempt::ExitClass_Name(observation.exit_class()));
  // An attempt that never ran has an empty log, and nobody will report the end of that log. A lost attempt
  // may have run unseen.
  if (IsTerminal(*to) && *event != AttemptEvent::kLost)
    sql::Query(tx, kCompleteUnusedLog, job.uid, observation.attempt());
  RecordTransition(tx, {.root_uid = job.root_uid,
                        .object = job.object,
                        .attempt = observation.attempt(),
                        .from = std::string(Name(from)),
                        .to = std::string(Name(*to)),
                        .reason = cause.reason,
                        .message = cause.message,
                        .exit_code = cause.exit_code,
                        .actor = kSchedulerActor});
  // Only the newest attempt moves its job; for an older one, watchers only learn that the job's attempts have changed.
  if (observation.attempt() == job.attempt_count) {
    MoveByAttempt(tx, job, *event, observation, cause);
  } else {
    sql::Query(tx, "UPDATE jobs SET version = version + 1 WHERE uid = $1", job.uid);
    RecordFeed(tx, job.root_uid, FeedKind::kJob, job.uid);
  }
}

void ApplyToJob(pqxx::transaction_base& tx, JobRow& job, const Observation& observation) {
  Cause cause = CauseOf(observation);
  if (observation.event() == Observation::IMPOSSIBLE) {
    MoveJob(tx, job, JobEvent::kImpossible, cause);
  } else if (observation.event() == Observation::ENVIRONMENT_READY && job.is_build()) {
    cause.reason = "COMPLETED";
    cause.exit_code = 0;
    MoveJob(tx, job, JobEvent::kEnvironmentReady, cause);
  }
}

}  // namespace

absl::StatusOr<std::int64_t> SchedulingStore::AcquireLeadership(const internal::v1::AcquireLeadershipRequest& request) {
  const absl::Duration lease = FromProtoDuration(request.lease());
  if (request.holder().empty() || lease < absl::Seconds(1) || lease > absl::Minutes(10))
    return Error(Reason::kInvalidArgument, "holder must be set and lease be 1 s to 10 min");
  return db_.Write("acquire leadership", [&](pqxx::work& tx) -> absl::StatusOr<std::int64_t> {
    const auto rows = sql::Query(tx, kAcquireLeadership, std::string(kSchedulerActor), request.holder(),
                                 absl::ToDoubleSeconds(lease), request.epoch());
    if (rows.empty()) return WithLeader(tx, Error(Reason::kNotLeader, "another scheduler holds the lease"));
    return rows[0][0].as<std::int64_t>();
  });
}

absl::StatusOr<internal::v1::CommitPlanResponse> SchedulingStore::CommitPlan(
    const internal::v1::CommitPlanRequest& request) {
  RISEML_RETURN_IF_ERROR(CheckPlan(request));
  return db_.Write("commit plan", [&](pqxx::work& tx) -> absl::StatusOr<internal::v1::CommitPlanResponse> {
    RISEML_RETURN_IF_ERROR(CheckEpoch(tx, request.epoch()));
    return CommitWholePlan(tx, request, tokens_);
  });
}

// An observation that the database rejects is recorded alone, without its time and message; it does not block the
// others.
absl::Status SchedulingStore::ReportObservations(const internal::v1::ReportObservationsRequest& request) {
  if (request.observations_size() > 500) return Error(Reason::kInvalidArgument, "at most 500 observations a call");
  const absl::Status all = Record(request);
  if (!IsRefused(all)) return all;
  internal::v1::ReportObservationsRequest one;
  one.set_epoch(request.epoch());
  for (const Observation& observation : request.observations()) {
    one.clear_observations();
    *one.add_observations() = observation;
    absl::Status recorded = Record(one);
    if (IsRefused(recorded)) {
      LogError("observation_refused", {{"job_uid", observation.job_uid()}, {"error", recorded.message()}});
      Observation& bare = *one.mutable_observations(0);
      bare.clear_time();
      bare.set_message("the report of its node cannot be stored");
      recorded = Record(one);
    }
    if (IsRefused(recorded))
      LogError("observation_dropped", {{"job_uid", observation.job_uid()}, {"error", recorded.message()}});
    else
      RISEML_RETURN_IF_ERROR(recorded);
  }
  return absl::OkStatus();
}

absl::Status SchedulingStore::Record(const internal::v1::ReportObservationsRequest& request) {
  return db_.Write("report observations", [&](pqxx::work& tx) -> absl::Status {
    RISEML_RETURN_IF_ERROR(CheckEpoch(tx, request.epoch()));
    // Roots are locked in one order, so that two transactions never wait for each other.
    std::vector<std::pair<std::string, const Observation*>> by_root;
    for (const Observation& observation : request.observations())
      if (const auto job = ReadJob(tx, observation.job_uid())) by_root.emplace_back(job->root_uid, &observation);
    std::stable_sort(by_root.begin(), by_root.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    StoredBytes stored;
    for (const auto& [root_uid, observation] : by_root) {
      if (!LockRoot(tx, root_uid)) continue;
      JobRow job = *ReadJob(tx, observation->job_uid());
      if (observation->attempt() > 0)
        ApplyToAttempt(tx, job, *observation, stored);
      else
        ApplyToJob(tx, job, *observation);
    }
    stored.Write(tx);
    return absl::OkStatus();
  });
}

absl::StatusOr<internal::v1::JobTemplate> SchedulingStore::GetJobTemplate(const std::string& job_uid) {
  if (!IsUuid(job_uid)) return Error(Reason::kInvalidArgument, "job_uid must be a UUID");
  return db_.Read("get job template", [&](pqxx::work& tx) { return LoadJobTemplate(tx, job_uid); });
}

absl::Status SchedulingStore::ReportNodes(const internal::v1::ReportNodesRequest& request) {
  return db_.Write("report nodes", [&](pqxx::work& tx) -> absl::Status {
    RISEML_RETURN_IF_ERROR(CheckEpoch(tx, request.epoch()));
    tx.exec("DELETE FROM nodes");
    for (const v1::Node& node : request.nodes())
      sql::Query(tx, "INSERT INTO nodes (name, content) VALUES ($1, $2)", node.name(),
                 pqxx::binarystring(node.SerializeAsString()));
    return absl::OkStatus();
  });
}

absl::StatusOr<v1::ListNodesResponse> SchedulingStore::ListNodes(const v1::ListNodesRequest& request) {
  RISEML_ASSIGN_OR_RETURN(const int size, PageSize(request.page_size()));
  const v1::ListNodesRequest arguments = WithoutPage(request);
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> last, ReadPageToken(request.page_token(), arguments, 1));
  return db_.Read("list nodes", [&](pqxx::work& tx) -> absl::StatusOr<v1::ListNodesResponse> {
    const auto rows = sql::Query(tx, kSelectNodes, last.empty() ? std::string() : last[0], size + 1);
    v1::ListNodesResponse response;
    for (const auto& row : rows) {
      if (response.nodes_size() == size) {
        response.set_next_page_token(MakePageToken({rows[size - 1]["name"].as<std::string>()}, arguments));
        break;
      }
      v1::Node* node = response.add_nodes();
      node->ParseFromString(pqxx::binarystring(row["content"]).str());
      node->set_used_cpus(row["used_cpus"].as<double>());
      node->set_used_memory_bytes(row["used_memory_bytes"].as<std::int64_t>());
      node->set_used_gpus(row["used_gpus"].as<int>());
      *node->mutable_update_time() = ToTimestamp(row["update_micros"].as<std::int64_t>());
    }
    return response;
  });
}

}  // namespace riseml::api
