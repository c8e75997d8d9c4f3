#include "services/api/views.h"

#include <google/protobuf/util/json_util.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "services/api/experiment_spec.h"
#include "services/api/records.h"
#include "services/api/root_configs.h"
#include "services/api/states.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/logtext/redact.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

template <class Message>
void SetTime(const pqxx::field& field, google::protobuf::Timestamp* (Message::*mutable_field)(), Message* message) {
  if (!field.is_null()) *(message->*mutable_field)() = ToTimestamp(field.as<std::int64_t>());
}

template <class Map>
void FillMap(const pqxx::field& field, Map* map) {
  const nlohmann::json json = nlohmann::json::parse(field.c_str());
  for (const auto& [key, value] : json.items()) (*map)[key] = value.template get<std::string>();
}

v1::Experiment::State ExperimentStateProto(const std::string& name) {
  v1::Experiment::State state = v1::Experiment::STATE_UNSPECIFIED;
  v1::Experiment::State_Parse(name, &state);
  return state;
}

const std::string& ExperimentSelect() {
  static const auto* sql = new std::string(absl::StrCat(
      "SELECT e.uid, u.name, e.number, e.child, e.kind, p.name, e.commit_id, e.tree_id, e.state, e.kill_wanted, "
      "e.reason, e.message, "
      "e.root_uid, e.parameters::text, e.result::text, e.child_count, e.labels::text, e.display_name, e.description, "
      "e.client_version, e.version, e.output_bytes, e.output_at_least, ",
      Micros("e.create_time"), ", ", Micros("e.start_time"), ", ", Micros("e.run_time"), ", ", Micros("e.end_time"),
      " FROM experiments e JOIN users u ON u.uid = e.user_uid JOIN projects p ON p.uid = e.project_uid "));
  return *sql;
}
constexpr int kExperimentRootColumn = 12;

// The spec as users see it: passwords in URLs are hidden.
v1::TrainSpec Shown(v1::TrainSpec spec) {
  for (std::string& step : *spec.mutable_install()) step = logtext::MaskUrlPasswords(step);
  for (std::string& command : *spec.mutable_run()) command = logtext::MaskUrlPasswords(command);
  for (auto& [name, value] : *spec.mutable_env()) value = logtext::MaskUrlPasswords(value);
  return spec;
}

v1::Experiment ToExperiment(const pqxx::row& row, const RootConfig& config, bool whole, const ViewOptions& options) {
  v1::Experiment e;
  const ExperimentName name{
      .user = row[1].as<std::string>(), .number = row[2].as<std::int64_t>(), .child = row[3].as<std::int64_t>()};
  e.set_name(Print(name));
  e.set_uid(row[0].as<std::string>());
  e.set_type(row[4].as<std::string>() == "SET" ? v1::Experiment::SET : v1::Experiment::EXPERIMENT);
  e.set_project(Print(ProjectName{name.user, row[5].as<std::string>()}));
  e.set_revision(Print(RevisionName{name.user, row[5].as<std::string>(), row[6].as<std::string>()}));
  e.set_tree(row[7].as<std::string>());
  e.set_state(ExperimentStateProto(row[8].as<std::string>()));
  e.set_desired_state(row[9].as<bool>() ? v1::Experiment::DESIRED_KILLED : v1::Experiment::DESIRED_FINISHED);
  e.set_reason(row[10].as<std::string>());
  e.set_message(row[11].as<std::string>());
  if (whole || name.child == 0) *e.mutable_spec() = Shown(config.spec);
  FillMap(row[13], e.mutable_parameters());
  for (auto& [parameter, value] : *e.mutable_parameters()) value = logtext::MaskUrlPasswords(value);
  // jsonb that was made from a Struct is always one again.
  [[maybe_unused]] const auto parsed =
      google::protobuf::util::JsonStringToMessage(row[14].as<std::string>(), e.mutable_result());
  e.set_child_count(row[15].as<int>());
  FillMap(row[16], e.mutable_labels());
  e.set_display_name(row[17].as<std::string>());
  e.set_description(row[18].as<std::string>());
  e.set_config_text(logtext::MaskUrlPasswords(config.text));
  e.set_client_version(row[19].as<std::string>());
  e.set_version(row[20].as<std::int64_t>());
  e.set_output_bytes(row[21].as<std::int64_t>());
  e.set_output_at_least(row[22].as<bool>());
  SetTime(row[23], &v1::Experiment::mutable_create_time, &e);
  SetTime(row[24], &v1::Experiment::mutable_start_time, &e);
  SetTime(row[25], &v1::Experiment::mutable_run_time, &e);
  SetTime(row[26], &v1::Experiment::mutable_end_time, &e);
  if (!options.output_dir.empty())
    e.set_output_path(absl::StrCat(options.output_dir, "/", OutputSubpath(name, row[5].as<std::string>())));
  return e;
}

std::vector<absl::string_view> SplitNodes(const pqxx::field& nodes) {
  if (nodes.is_null()) return {};
  return absl::StrSplit(nodes.c_str(), ',');
}

void AddChildStates(pqxx::transaction_base& tx, std::vector<v1::Experiment>& experiments) {
  std::map<std::string, v1::Experiment*> sets;
  std::vector<std::string> uids;
  for (v1::Experiment& e : experiments) {
    if (e.type() != v1::Experiment::SET) continue;
    sets[e.uid()] = &e;
    uids.push_back(e.uid());
  }
  if (uids.empty()) return;
  for (const auto& row :
       sql::Query(tx, "SELECT root_uid, state, count FROM child_counts WHERE root_uid = ANY($1::uuid[]) AND count > 0",
                  ArrayLiteral(uids)))
    (*sets[row[0].as<std::string>()]->mutable_child_states())[row[1].as<std::string>()] = row[2].as<int>();
}

const std::string& JobSelect() {
  static const auto* sql = new std::string(absl::StrCat(
      "SELECT j.uid, u.name, e.number, e.child, j.name, j.role, j.state, j.reason, j.message, j.exit_code, j.cpus, "
      "j.memory_bytes, j.gpus, "
      "j.attempt_count, j.wait_reason, j.wait_message, j.version, e.parameters::text, j.root_uid, ",
      Micros("j.create_time"), ", ", Micros("j.start_time"), ", ", Micros("j.end_time"),
      ", j.member_index, j.member_count, j.gang, ", kAvoidedNodes,
      " FROM jobs j JOIN experiments e ON e.uid = j.experiment_uid JOIN users u ON u.uid = e.user_uid "));
  return *sql;
}
constexpr int kJobRootColumn = 18;

v1::Job ToJob(const pqxx::row& row, const v1::TrainSpec& spec) {
  v1::Job job;
  const JobName name{
      {.user = row[1].as<std::string>(), .number = row[2].as<std::int64_t>(), .child = row[3].as<std::int64_t>()},
      row[4].as<std::string>()};
  job.set_uid(row[0].as<std::string>());
  job.set_name(Print(name));
  job.set_role(row[5].as<std::string>());
  job.set_state(JobStateProto(row[6].c_str()));
  job.set_reason(row[7].as<std::string>());
  job.set_message(row[8].as<std::string>());
  if (!row[9].is_null()) job.set_exit_code(row[9].as<int>());
  job.mutable_resources()->set_cpus(row[10].as<double>());
  job.mutable_resources()->set_memory_bytes(row[11].as<std::int64_t>());
  job.mutable_resources()->set_gpus(row[12].as<int>());
  job.set_attempt_count(row[13].as<int>());
  if (job.state() == v1::Job::PENDING || job.state() == v1::Job::CREATED) {
    job.set_wait_reason(row[14].as<std::string>());
    job.set_wait_message(row[15].as<std::string>());
  }
  job.set_version(row[16].as<std::int64_t>());
  const Parameters parameters = ParametersFromJson(row[17].as<std::string>());
  for (const std::string& command : CommandsOf(spec, job.role(), parameters))
    job.add_commands(logtext::MaskUrlPasswords(command));
  if (job.role() != kBuildRole) {
    for (const auto& variables : {FilledEnv(spec, parameters), VariablesOf(parameters)})
      for (const auto& [variable, value] : variables)
        (*job.mutable_environment())[variable] = logtext::MaskUrlPasswords(value);
  }
  job.set_image(spec.image());
  job.set_runtime(v1::Job::PROCESS);
  SetTime(row[19], &v1::Job::mutable_create_time, &job);
  SetTime(row[20], &v1::Job::mutable_start_time, &job);
  SetTime(row[21], &v1::Job::mutable_end_time, &job);
  job.set_member_index(row[22].as<int>());
  job.set_member_count(row[23].as<int>());
  if (!row[24].is_null()) job.set_gang(row[24].as<std::string>());
  for (absl::string_view node : SplitNodes(row[25])) job.add_avoided_nodes(std::string(node));
  return job;
}

v1::Attempt ToAttempt(const pqxx::row& row) {
  v1::Attempt attempt;
  attempt.set_number(row[1].as<int>());
  v1::Attempt::State state = v1::Attempt::STATE_UNSPECIFIED;
  v1::Attempt::State_Parse(row[2].as<std::string>(), &state);
  attempt.set_state(state);
  attempt.set_node(row[3].as<std::string>());
  attempt.set_reason(row[4].as<std::string>());
  attempt.set_message(row[5].as<std::string>());
  if (!row[6].is_null()) attempt.set_exit_code(row[6].as<int>());
  v1::Attempt::LogState log_state = v1::Attempt::LOG_STATE_UNSPECIFIED;
  v1::Attempt::LogState_Parse(row[7].as<std::string>(), &log_state);
  attempt.set_log_state(log_state);
  attempt.set_log_bytes(row[8].as<std::int64_t>());
  SetTime(row[9], &v1::Attempt::mutable_create_time, &attempt);
  SetTime(row[10], &v1::Attempt::mutable_start_time, &attempt);
  SetTime(row[11], &v1::Attempt::mutable_end_time, &attempt);
  v1::Attempt::ExitClass exit_class = v1::Attempt::EXIT_CLASS_UNSPECIFIED;
  v1::Attempt::ExitClass_Parse(row[12].as<std::string>(), &exit_class);
  attempt.set_exit_class(exit_class);
  attempt.set_environment_digest(row[13].as<std::string>());
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
  const std::string sql = absl::StrCat(
      "SELECT a.job_uid, a.number, a.state, a.node, a.reason, a.message, a.exit_code, a.log_state, a.log_bytes, ",
      Micros("a.create_time"), ", ", Micros("a.start_time"), ", ", Micros("a.end_time"),
      ", a.exit_class, a.environment_digest FROM attempts a JOIN jobs j ON j.uid = a.job_uid WHERE a.job_uid = "
      "ANY($1::uuid[])",
      all ? "" : " AND a.number = j.attempt_count", " ORDER BY a.job_uid, a.number");
  for (const auto& row : sql::Query(tx, sql, ArrayLiteral(uids))) {
    v1::Job* job = by_uid[row[0].as<std::string>()];
    *job->add_attempts() = ToAttempt(row);
    job->set_node(row[3].as<std::string>());
  }
}

std::vector<v1::Job> ToJobs(pqxx::transaction_base& tx, const pqxx::result& rows, bool all_attempts) {
  std::vector<v1::Job> jobs;
  jobs.reserve(rows.size());
  const auto configs = LoadRootConfigs(tx, rows, kJobRootColumn, false);
  for (const auto& row : rows) jobs.push_back(ToJob(row, configs.at(row[kJobRootColumn].as<std::string>()).spec));
  AddAttempts(tx, jobs, all_attempts);
  return jobs;
}

std::vector<std::string> Column(const pqxx::result& rows) {
  std::vector<std::string> out;
  out.reserve(rows.size());
  for (const auto& row : rows) out.push_back(row[0].as<std::string>());
  return out;
}

}  // namespace

v1::Job::State JobStateProto(const char* name) {
  v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
  v1::Job::State_Parse(name, &state);
  return state;
}

std::string ArrayLiteral(const std::vector<std::string>& items) {
  return absl::StrCat("{", absl::StrJoin(items, ","), "}");
}

google::protobuf::Timestamp ToTimestamp(std::int64_t micros) {
  google::protobuf::Timestamp out;
  out.set_seconds(micros / 1'000'000);
  out.set_nanos(static_cast<int>(micros % 1'000'000) * 1000);
  return out;
}

std::string Micros(absl::string_view column) {
  return absl::StrCat("(extract(epoch FROM ", column, ") * 1000000)::bigint");
}

absl::StatusOr<ExperimentKey> FindExperiment(pqxx::transaction_base& tx, const rpc::Call& call,
                                             absl::string_view name) {
  RISEML_ASSIGN_OR_RETURN(const ExperimentName parsed, ParseExperimentName(name));
  const std::string where =
      parsed.uid.empty() ? "e.number = $4 AND e.child = $5" : "e.uid = $6::uuid AND $4::bigint + $5::bigint >= 0";
  const std::string uid = parsed.uid.empty() ? "00000000-0000-0000-0000-000000000000" : parsed.uid;
  const auto rows =
      sql::Query(tx,
                 absl::StrCat("SELECT e.uid, e.root_uid, e.user_uid, e.number, e.child, e.kind FROM experiments e "
                              "JOIN users u ON u.uid = e.user_uid "
                              "WHERE u.name = $1 AND (e.user_uid = $2 OR $3) AND ",
                              where, " AND $6::uuid IS NOT NULL"),
                 parsed.user, call.caller.user_uid(), IsAdmin(call), parsed.number, parsed.child, uid);
  if (rows.empty()) return NotFound(name);
  const pqxx::row row = rows[0];
  return ExperimentKey{row[0].as<std::string>(),
                       row[1].as<std::string>(),
                       row[2].as<std::string>(),
                       {.user = parsed.user, .number = row[3].as<std::int64_t>(), .child = row[4].as<std::int64_t>()},
                       row[5].as<std::string>() == "SET"};
}

absl::StatusOr<JobKey> FindJob(pqxx::transaction_base& tx, const rpc::Call& call, absl::string_view name) {
  RISEML_ASSIGN_OR_RETURN(const JobName parsed, ParseJobName(name));
  const auto experiment = FindExperiment(tx, call, Print(parsed.experiment));
  if (!experiment.ok()) return absl::IsNotFound(experiment.status()) ? NotFound(name) : experiment.status();
  const auto rows = sql::Query(tx, "SELECT uid, root_uid FROM jobs WHERE experiment_uid = $1 AND name = $2",
                               experiment->uid, parsed.job);
  if (rows.empty()) return NotFound(name);
  return JobKey{rows[0][0].as<std::string>(), rows[0][1].as<std::string>(), {experiment->name, parsed.job}};
}

std::vector<v1::Experiment> LoadExperiments(pqxx::transaction_base& tx, const std::vector<std::string>& uids,
                                            bool whole, const ViewOptions& options) {
  std::vector<v1::Experiment> experiments;
  if (uids.empty()) return experiments;
  experiments.reserve(uids.size());
  const pqxx::result rows = sql::Query(
      tx, absl::StrCat(ExperimentSelect(), "WHERE e.uid = ANY($1::uuid[]) ORDER BY array_position($1::uuid[], e.uid)"),
      ArrayLiteral(uids));
  const auto configs = LoadRootConfigs(tx, rows, kExperimentRootColumn, whole);
  for (const auto& row : rows)
    experiments.push_back(ToExperiment(row, configs.at(row[kExperimentRootColumn].as<std::string>()), whole, options));
  AddChildStates(tx, experiments);
  return experiments;
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

std::vector<std::string> JobUidsOf(pqxx::transaction_base& tx, const std::string& experiment_uid) {
  return Column(sql::Query(tx, "SELECT uid FROM jobs WHERE experiment_uid = $1 ORDER BY sequence", experiment_uid));
}

std::vector<std::string> JobUidsBelow(pqxx::transaction_base& tx, const std::string& root_uid) {
  return Column(sql::Query(tx, "SELECT uid FROM jobs WHERE root_uid = $1 ORDER BY sequence", root_uid));
}

std::vector<std::string> ReleasedJobUidsBelow(pqxx::transaction_base& tx, const std::string& root_uid) {
  return Column(
      sql::Query(tx, "SELECT uid FROM jobs WHERE root_uid = $1 AND state <> 'CREATED' ORDER BY sequence", root_uid));
}

std::vector<std::string> ExperimentUidsOf(pqxx::transaction_base& tx, const std::string& root_uid) {
  return Column(sql::Query(tx, "SELECT uid FROM experiments WHERE root_uid = $1 ORDER BY child", root_uid));
}

}  // namespace riseml::api
