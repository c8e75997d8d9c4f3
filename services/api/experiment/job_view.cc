// Jobs and their attempts as users see them.
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/api/data/experiment_spec.h"
#include "services/api/data/root_configs.h"
#include "services/api/data/views.h"
#include "services/common/logtext/redact.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

// Returns the digest in "NAME@DIGEST"; empty if there is none.
std::string DigestOf(const std::string& image) {
  const std::size_t at = image.find('@');
  return at == std::string::npos ? "" : image.substr(at + 1);
}

// Columns in the order of JobColumn.
std::string JobSelect() {
  return absl::StrCat(R"sql(
      SELECT u.name, e.number, e.child, e.parameters::text,
        j.uid, j.name, j.root_uid, j.role, j.state, j.reason, j.message, j.exit_code,
        j.cpus, j.memory_bytes, j.gpus, j.attempt_count, j.wait_reason, j.wait_message, j.version,
        (extract(epoch FROM j.create_time) * 1000000)::bigint,
        (extract(epoch FROM j.start_time) * 1000000)::bigint,
        (extract(epoch FROM j.end_time) * 1000000)::bigint,
        j.member_index, j.member_count, j.gang,
        )sql",
                      kAvoidedNodes, R"sql(
      FROM jobs j
      JOIN experiments e ON e.uid = j.experiment_uid
      JOIN users u ON u.uid = e.user_uid
    )sql");
}

enum JobColumn : int {
  kJobUser,
  kJobNumber,
  kJobChild,
  kJobParameters,
  kJobUid,
  kJobName,
  kJobRootUid,
  kJobRole,
  kJobState,
  kJobReason,
  kJobMessage,
  kJobExitCode,
  kJobCpus,
  kJobMemoryBytes,
  kJobGpus,
  kJobAttemptCount,
  kJobWaitReason,
  kJobWaitMessage,
  kJobVersion,
  kJobCreateMicros,
  kJobStartMicros,
  kJobEndMicros,
  kJobMemberIndex,
  kJobMemberCount,
  kJobGang,
  kJobAvoidedNodes
};

// Columns in the order of AttemptColumn.
constexpr char kSelectAttempts[] = R"sql(
  SELECT a.job_uid, a.number, a.state, a.node, a.reason, a.message, a.exit_code, a.exit_class,
    a.log_state, a.log_bytes, a.environment_digest,
    (extract(epoch FROM a.create_time) * 1000000)::bigint,
    (extract(epoch FROM a.start_time) * 1000000)::bigint,
    (extract(epoch FROM a.end_time) * 1000000)::bigint,
    a.log_backlog_bytes, a.log_backlog_lost_bytes,
    CASE WHEN a.log_state = 'OPEN' THEN (extract(epoch FROM a.log_backlog_since) * 1000000)::bigint END
  FROM attempts a
  JOIN jobs j ON j.uid = a.job_uid
  WHERE a.job_uid = ANY($1::uuid[])
)sql";

enum AttemptColumn : int {
  kAttemptJobUid,
  kAttemptNumber,
  kAttemptState,
  kAttemptNode,
  kAttemptReason,
  kAttemptMessage,
  kAttemptExitCode,
  kAttemptExitClass,
  kAttemptLogState,
  kAttemptLogBytes,
  kAttemptEnvironmentDigest,
  kAttemptCreateMicros,
  kAttemptStartMicros,
  kAttemptEndMicros,
  kAttemptBacklogBytes,
  kAttemptBacklogLostBytes,
  kAttemptBacklogMicros
};

v1::Job ToJob(const pqxx::row& row, const v1::TrainSpec& spec) {
  v1::Job job;
  const JobName name{{.user = row[kJobUser].as<std::string>(),
                      .number = row[kJobNumber].as<std::int64_t>(),
                      .child = row[kJobChild].as<std::int64_t>()},
                     row[kJobName].as<std::string>()};
  job.set_uid(row[kJobUid].as<std::string>());
  job.set_name(Print(name));
  job.set_role(row[kJobRole].as<std::string>());
  job.set_state(JobStateProto(row[kJobState].c_str()));
  job.set_reason(row[kJobReason].as<std::string>());
  job.set_message(row[kJobMessage].as<std::string>());
  if (!row[kJobExitCode].is_null()) job.set_exit_code(row[kJobExitCode].as<int>());
  job.mutable_resources()->set_cpus(row[kJobCpus].as<double>());
  job.mutable_resources()->set_memory_bytes(row[kJobMemoryBytes].as<std::int64_t>());
  job.mutable_resources()->set_gpus(row[kJobGpus].as<int>());
  job.set_attempt_count(row[kJobAttemptCount].as<int>());
  if (job.state() == v1::Job::PENDING || job.state() == v1::Job::CREATED) {
    job.set_wait_reason(row[kJobWaitReason].as<std::string>());
    job.set_wait_message(row[kJobWaitMessage].as<std::string>());
  }
  job.set_version(row[kJobVersion].as<std::int64_t>());
  const Parameters parameters = ParametersFromJson(row[kJobParameters].as<std::string>());
  for (const std::string& command : CommandsOf(spec, job.role(), parameters))
    job.add_commands(logtext::MaskUrlPasswords(command));
  if (job.role() != kBuildRole) {
    for (const auto& variables : {FilledEnv(spec, parameters), VariablesOf(parameters)})
      for (const auto& [variable, value] : variables)
        (*job.mutable_environment())[variable] = logtext::MaskUrlPasswords(value);
  }
  job.set_image(spec.image());
  job.set_image_digest(DigestOf(spec.base_image()));
  job.set_runtime(spec.base_image().empty() ? v1::Job::PROCESS : v1::Job::CONTAINER);
  SetTime(row[kJobCreateMicros], &v1::Job::mutable_create_time, &job);
  SetTime(row[kJobStartMicros], &v1::Job::mutable_start_time, &job);
  SetTime(row[kJobEndMicros], &v1::Job::mutable_end_time, &job);
  job.set_member_index(row[kJobMemberIndex].as<int>());
  job.set_member_count(row[kJobMemberCount].as<int>());
  if (!row[kJobGang].is_null()) job.set_gang(row[kJobGang].as<std::string>());
  for (absl::string_view node : SplitNodes(row[kJobAvoidedNodes])) job.add_avoided_nodes(std::string(node));
  return job;
}

v1::Attempt ToAttempt(const pqxx::row& row) {
  v1::Attempt attempt;
  attempt.set_number(row[kAttemptNumber].as<int>());
  v1::Attempt::State state = v1::Attempt::STATE_UNSPECIFIED;
  v1::Attempt::State_Parse(row[kAttemptState].as<std::string>(), &state);
  attempt.set_state(state);
  attempt.set_node(row[kAttemptNode].as<std::string>());
  attempt.set_reason(row[kAttemptReason].as<std::string>());
  attempt.set_message(row[kAttemptMessage].as<std::string>());
  if (!row[kAttemptExitCode].is_null()) attempt.set_exit_code(row[kAttemptExitCode].as<int>());
  v1::Attempt::LogState log_state = v1::Attempt::LOG_STATE_UNSPECIFIED;
  v1::Attempt::LogState_Parse(row[kAttemptLogState].as<std::string>(), &log_state);
  attempt.set_log_state(log_state);
  attempt.set_log_bytes(row[kAttemptLogBytes].as<std::int64_t>());
  SetTime(row[kAttemptCreateMicros], &v1::Attempt::mutable_create_time, &attempt);
  SetTime(row[kAttemptStartMicros], &v1::Attempt::mutable_start_time, &attempt);
  SetTime(row[kAttemptEndMicros], &v1::Attempt::mutable_end_time, &attempt);
  v1::Attempt::ExitClass exit_class = v1::Attempt::EXIT_CLASS_UNSPECIFIED;
  v1::Attempt::ExitClass_Parse(row[kAttemptExitClass].as<std::string>(), &exit_class);
  attempt.set_exit_class(exit_class);
  attempt.set_environment_digest(row[kAttemptEnvironmentDigest].as<std::string>());
  if (!row[kAttemptBacklogMicros].is_null()) {
    v1::LogBacklog& backlog = *attempt.mutable_log_backlog();
    backlog.set_bytes(row[kAttemptBacklogBytes].as<std::int64_t>());
    backlog.set_lost_bytes(row[kAttemptBacklogLostBytes].as<std::int64_t>());
    SetTime(row[kAttemptBacklogMicros], &v1::LogBacklog::mutable_oldest_time, &backlog);
  }
  return attempt;
}

void AddAttempts(pqxx::transaction_base& tx, std::vector<v1::Job>& jobs, bool all) {
  std::map<std::string, v1::Job*> by_uid;
  std::vector<std::string> uids;
  for (v1::Job& job : jobs) {
    if (job.attempt_count() == 0) continue;
    by_uid[job.uid()] = &job;
    uids.push_back(job.uid());
  }
  if (uids.empty()) return;
  const std::string sql =
      absl::StrCat(kSelectAttempts, all ? "" : "AND a.number = j.attempt_count ", "ORDER BY a.job_uid, a.number");
  for (const auto& row : sql::Query(tx, sql, ArrayLiteral(uids))) {
    v1::Job* job = by_uid[row[kAttemptJobUid].as<std::string>()];
    *job->add_attempts() = ToAttempt(row);
    job->set_node(row[kAttemptNode].as<std::string>());
  }
}

std::vector<v1::Job> ToJobs(pqxx::transaction_base& tx, const pqxx::result& rows, bool all_attempts) {
  std::vector<v1::Job> jobs;
  jobs.reserve(rows.size());
  const auto configs = LoadRootConfigs(tx, rows, kJobRootUid, false);
  for (const auto& row : rows) jobs.push_back(ToJob(row, configs.at(row[kJobRootUid].as<std::string>()).spec));
  AddAttempts(tx, jobs, all_attempts);
  return jobs;
}

}  // namespace

v1::Job::State JobStateProto(const char* name) {
  v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
  v1::Job::State_Parse(name, &state);
  return state;
}

std::vector<absl::string_view> SplitNodes(const pqxx::field& nodes) {
  if (nodes.is_null()) return {};
  return absl::StrSplit(nodes.c_str(), ',');
}

std::vector<v1::Job> LoadJobs(pqxx::transaction_base& tx, const std::vector<std::string>& uids, bool all_attempts) {
  if (uids.empty()) return {};
  return ToJobs(tx,
                sql::Query(tx, absl::StrCat(JobSelect(), "WHERE j.uid = ANY($1::uuid[]) ORDER BY j.sequence"),
                           ArrayLiteral(uids)),
                all_attempts);
}

std::vector<v1::Job> LoadJobsOf(pqxx::transaction_base& tx, const std::string& experiment_uid) {
  return ToJobs(
      tx, sql::Query(tx, absl::StrCat(JobSelect(), "WHERE j.experiment_uid = $1 ORDER BY j.sequence"), experiment_uid),
      false);
}

}  // namespace riseml::api
