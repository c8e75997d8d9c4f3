#include "services/api/scheduling/log_store.h"

#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/api/data/lifecycle.h"
#include "services/api/data/page.h"
#include "services/api/data/records.h"
#include "services/api/data/stored_bytes.h"
#include "services/api/data/views.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

// In the order of StreamColumn.
constexpr char kSelectStreams[] = R"sql(
  SELECT a.job_uid, a.number, u.name, e.number, e.child, j.name, j.root_uid,
    a.state IN ('FINISHED', 'FAILED', 'KILLED'), a.log_state, a.log_bytes, e.uid, j.sequence,
    (extract(epoch FROM a.end_time) * 1000000)::bigint
  FROM attempts a
  JOIN jobs j ON j.uid = a.job_uid
  JOIN experiments e ON e.uid = j.experiment_uid
  JOIN users u ON u.uid = e.user_uid
)sql";
enum StreamColumn : int {
  kStreamJobUid,
  kStreamAttempt,
  kStreamUser,
  kStreamNumber,
  kStreamChild,
  kStreamJob,
  kStreamRootUid,
  kStreamEnded,
  kStreamLogState,
  kStreamLogBytes,
  kStreamExperimentUid,
  kStreamSequence,
  kStreamEndMicros
};

// An end is final, unless the new one has more of the log.
constexpr char kEndLog[] = R"sql(
  UPDATE attempts
  SET log_state = $3, log_bytes = $4
  WHERE job_uid = $1 AND number = $2
    AND (log_state = 'OPEN' OR ($3 = 'COMPLETE' AND (log_state = 'TRUNCATED' OR log_bytes < $4)))
)sql";

constexpr char kSetBacklog[] = R"sql(
  UPDATE attempts
  SET log_backlog_bytes = $3, log_backlog_lost_bytes = $4, log_backlog_since = to_timestamp($5::text::float8 / 1e6)
  WHERE job_uid = $1 AND number = $2 AND log_state = 'OPEN'
)sql";

const absl::Time kLatest = absl::FromUnixSeconds(253'402'300'799);  // 9999-12-31
constexpr int kStreamsOfPage = 5'000;                               // some 100 bytes each

std::vector<internal::v1::StreamInfo> ToStreams(const pqxx::result& rows) {
  std::vector<internal::v1::StreamInfo> streams;
  streams.reserve(rows.size());
  for (const auto& row : rows) {
    internal::v1::StreamInfo& stream = streams.emplace_back();
    stream.set_job_uid(row[kStreamJobUid].as<std::string>());
    stream.set_attempt(row[kStreamAttempt].as<int>());
    const ExperimentName experiment{.user = row[kStreamUser].as<std::string>(),
                                    .number = row[kStreamNumber].as<std::int64_t>(),
                                    .child = row[kStreamChild].as<std::int64_t>()};
    stream.set_job(Print(JobName{experiment, row[kStreamJob].as<std::string>()}));
    stream.set_root_uid(row[kStreamRootUid].as<std::string>());
    stream.set_ended(row[kStreamEnded].as<bool>());
    v1::Attempt::LogState state = v1::Attempt::LOG_STATE_UNSPECIFIED;
    v1::Attempt::LogState_Parse(row[kStreamLogState].as<std::string>(), &state);
    stream.set_log_state(state);
    stream.set_log_bytes(row[kStreamLogBytes].as<std::int64_t>());
    stream.set_experiment_uid(row[kStreamExperimentUid].as<std::string>());
    if (const auto end = row[kStreamEndMicros]; !end.is_null())
      *stream.mutable_end_time() = ToTimestamp(end.as<std::int64_t>());
  }
  return streams;
}

}  // namespace

std::vector<internal::v1::StreamInfo> LogStore::Load(pqxx::transaction_base& tx, const std::vector<std::string>& jobs) {
  if (jobs.empty())
    return ToStreams(tx.exec(absl::StrCat(kSelectStreams, "WHERE a.log_state = 'OPEN' ORDER BY j.sequence, a.number")));
  return ToStreams(
      sql::Query(tx, absl::StrCat(kSelectStreams, "WHERE a.job_uid = ANY($1::uuid[]) ORDER BY j.sequence, a.number"),
                 ArrayLiteral(jobs)));
}

absl::StatusOr<internal::v1::ListStreamsResponse> LogStore::ListStreams(
    const rpc::Call& as_user, const internal::v1::ListStreamsRequest& request) {
  internal::v1::ListStreamsRequest arguments = request;
  arguments.clear_page_token();
  arguments.clear_credential();
  RISEML_ASSIGN_OR_RETURN(const std::vector<std::string> last, ReadPageToken(request.page_token(), arguments, 2));
  return db_.Snapshot("list log streams", [&](pqxx::work& tx) -> absl::StatusOr<internal::v1::ListStreamsResponse> {
    internal::v1::ListStreamsResponse response;
    std::string uid, condition;
    if (absl::StrContains(request.name(), "/jobs/")) {
      RISEML_ASSIGN_OR_RETURN(const JobKey key, FindJob(tx, as_user, request.name()));
      response.set_root_uid(key.root_uid);
      response.set_ended(IsTerminal(ReadJob(tx, key.uid)->state));
      uid = key.uid;
      condition = "j.uid = $1";
    } else {
      RISEML_ASSIGN_OR_RETURN(const ExperimentKey key, FindExperiment(tx, as_user, request.name()));
      response.set_root_uid(key.root_uid);
      response.set_ended(
          sql::QueryRow(tx, "SELECT state IN ('FINISHED', 'FAILED', 'KILLED') FROM experiments WHERE uid = $1",
                        key.uid)[0]
              .as<bool>());
      uid = key.uid;
      // A set has the streams of its build and of all its children; a child only its own.
      condition = key.uid == key.root_uid ? "j.root_uid = $1" : "j.experiment_uid = $1";
    }
    const std::string page = absl::StrCat(kSelectStreams, "WHERE ", condition, R"sql(
        AND (j.sequence, a.number) > ($2::bigint, $3::int)
      ORDER BY j.sequence, a.number
      LIMIT $4
    )sql");
    const auto rows =
        sql::Query(tx, page, uid, last.empty() ? "0" : last[0], last.empty() ? "0" : last[1], kStreamsOfPage);
    for (internal::v1::StreamInfo& stream : ToStreams(rows)) *response.add_streams() = std::move(stream);
    if (rows.size() == kStreamsOfPage) {
      const auto& end = rows[rows.size() - 1];
      response.set_next_page_token(
          MakePageToken({end[kStreamSequence].c_str(), end[kStreamAttempt].c_str()}, arguments));
    }
    return response;
  });
}

absl::Status LogStore::ReportEnd(const internal::v1::ReportLogEndRequest& request) {
  const bool complete = request.log_state() == v1::Attempt::COMPLETE;
  if (!complete && request.log_state() != v1::Attempt::TRUNCATED)
    return Error(Reason::kInvalidArgument, "log_state must be COMPLETE or TRUNCATED");
  return db_.Write("report end of log", [&](pqxx::work& tx) -> absl::Status {
    const auto job = ReadJob(tx, request.job_uid());
    if (!job || !LockRoot(tx, job->root_uid))
      return Error(Reason::kNotFound, absl::StrCat("job ", request.job_uid(), " not found"));
    const auto before = sql::Query(tx, "SELECT log_bytes FROM attempts WHERE job_uid = $1 AND number = $2", job->uid,
                                   request.attempt());
    const std::int64_t bytes = CountedBytes(request.log_bytes());
    const auto changed =
        sql::Query(tx, kEndLog, job->uid, request.attempt(), complete ? "COMPLETE" : "TRUNCATED", bytes);
    if (changed.affected_rows() == 0) return absl::OkStatus();
    sql::Query(tx, "UPDATE jobs SET version = version + 1 WHERE uid = $1", job->uid);
    RecordFeed(tx, job->root_uid, FeedKind::kJob, job->uid);
    StoredBytes stored;
    stored.AddLog(tx, job->root_uid, bytes - before[0][0].as<std::int64_t>());
    stored.Write(tx);
    return absl::OkStatus();
  });
}

absl::Status LogStore::ReportBacklog(const rpc::Call& call, const v1::ReportLogBacklogRequest& request) {
  const v1::LogBacklog& backlog = request.backlog();
  std::optional<std::string> since;
  if (request.has_backlog()) since = absl::StrCat(absl::ToUnixMicros(FromProtoTime(backlog.oldest_time())));
  if (backlog.bytes() < 0 || backlog.lost_bytes() < 0 || FromProtoTime(backlog.oldest_time()) > kLatest)
    return Error(Reason::kInvalidArgument, "a backlog must have 0 bytes or more, and a time before the year 10000");
  return db_.Write("report backlog of log", [&](pqxx::work& tx) -> absl::Status {
    const auto job = ReadJob(tx, call.caller.job_uid());
    if (!job || !LockRoot(tx, job->root_uid))
      return Error(Reason::kNotFound, "the job of this token does not exist any more");
    const auto changed =
        sql::Query(tx, kSetBacklog, job->uid, call.caller.attempt(), backlog.bytes(), backlog.lost_bytes(), since);
    if (changed.affected_rows() == 0) return absl::OkStatus();
    sql::Query(tx, "UPDATE jobs SET version = version + 1 WHERE uid = $1", job->uid);
    RecordFeed(tx, job->root_uid, FeedKind::kJob, job->uid);
    return absl::OkStatus();
  });
}

}  // namespace riseml::api
