#include "services/api/data/views.h"

#include <google/protobuf/util/json_util.h>

#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/api/data/experiment_spec.h"
#include "services/api/data/records.h"
#include "services/api/data/root_configs.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/logtext/redact.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

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

// In the order of ExperimentColumn.
constexpr char kSelectExperiments[] = R"sql(
  SELECT u.name, p.name, e.uid, e.root_uid, e.number, e.child, e.kind, e.commit_id, e.tree_id,
    e.state, e.kill_wanted, e.reason, e.message, e.parameters::text, e.result::text, e.child_count,
    e.labels::text, e.display_name, e.description, e.client_version, e.version, e.output_bytes, e.output_at_least,
    (extract(epoch FROM e.create_time) * 1000000)::bigint,
    (extract(epoch FROM e.start_time) * 1000000)::bigint,
    (extract(epoch FROM e.run_time) * 1000000)::bigint,
    (extract(epoch FROM e.end_time) * 1000000)::bigint
  FROM experiments e
  JOIN users u ON u.uid = e.user_uid
  JOIN projects p ON p.uid = e.project_uid
)sql";

enum ExperimentColumn : int {
  kExperimentUser,
  kExperimentProject,
  kExperimentUid,
  kExperimentRootUid,
  kExperimentNumber,
  kExperimentChild,
  kExperimentKind,
  kExperimentCommit,
  kExperimentTree,
  kExperimentState,
  kExperimentKillWanted,
  kExperimentReason,
  kExperimentMessage,
  kExperimentParameters,
  kExperimentResult,
  kExperimentChildCount,
  kExperimentLabels,
  kExperimentDisplayName,
  kExperimentDescription,
  kExperimentClientVersion,
  kExperimentVersion,
  kExperimentOutputBytes,
  kExperimentOutputAtLeast,
  kExperimentCreateMicros,
  kExperimentStartMicros,
  kExperimentRunMicros,
  kExperimentEndMicros
};

constexpr char kFindExperiment[] = R"sql(
  SELECT e.uid, e.root_uid, e.user_uid, e.number, e.child, e.kind
  FROM experiments e
  JOIN users u ON u.uid = e.user_uid
  WHERE u.name = $1 AND (e.user_uid = $2 OR $3)
)sql";

// Returns the spec as users see it: with passwords in URLs hidden.
v1::TrainSpec Shown(v1::TrainSpec spec) {
  for (std::string& step : *spec.mutable_install()) step = logtext::MaskUrlPasswords(step);
  for (std::string& command : *spec.mutable_run()) command = logtext::MaskUrlPasswords(command);
  for (auto& [name, value] : *spec.mutable_env()) value = logtext::MaskUrlPasswords(value);
  return spec;
}

v1::Experiment ToExperiment(const pqxx::row& row, const RootConfig& config, bool whole, const ViewOptions& options) {
  v1::Experiment e;
  const ExperimentName name{.user = row[kExperimentUser].as<std::string>(),
                            .number = row[kExperimentNumber].as<std::int64_t>(),
                            .child = row[kExperimentChild].as<std::int64_t>()};
  e.set_name(Print(name));
  e.set_uid(row[kExperimentUid].as<std::string>());
  e.set_type(row[kExperimentKind].as<std::string>() == "SET" ? v1::Experiment::SET : v1::Experiment::EXPERIMENT);
  e.set_project(Print(ProjectName{name.user, row[kExperimentProject].as<std::string>()}));
  e.set_revision(Print(
      RevisionName{name.user, row[kExperimentProject].as<std::string>(), row[kExperimentCommit].as<std::string>()}));
  e.set_tree(row[kExperimentTree].as<std::string>());
  e.set_state(ExperimentStateProto(row[kExperimentState].as<std::string>()));
  e.set_desired_state(row[kExperimentKillWanted].as<bool>() ? v1::Experiment::DESIRED_KILLED
                                                            : v1::Experiment::DESIRED_FINISHED);
  e.set_reason(row[kExperimentReason].as<std::string>());
  e.set_message(row[kExperimentMessage].as<std::string>());
  if (whole || name.child == 0) *e.mutable_spec() = Shown(config.spec);
  FillMap(row[kExperimentParameters], e.mutable_parameters());
  for (auto& [parameter, value] : *e.mutable_parameters()) value = logtext::MaskUrlPasswords(value);
  // jsonb that was made from a Struct always parses as one.
  [[maybe_unused]] const auto parsed =
      google::protobuf::util::JsonStringToMessage(row[kExperimentResult].as<std::string>(), e.mutable_result());
  e.set_child_count(row[kExperimentChildCount].as<int>());
  FillMap(row[kExperimentLabels], e.mutable_labels());
  e.set_display_name(row[kExperimentDisplayName].as<std::string>());
  e.set_description(row[kExperimentDescription].as<std::string>());
  e.set_config_text(logtext::MaskUrlPasswords(config.text));
  e.set_client_version(row[kExperimentClientVersion].as<std::string>());
  e.set_version(row[kExperimentVersion].as<std::int64_t>());
  e.set_output_bytes(row[kExperimentOutputBytes].as<std::int64_t>());
  e.set_output_at_least(row[kExperimentOutputAtLeast].as<bool>());
  SetTime(row[kExperimentCreateMicros], &v1::Experiment::mutable_create_time, &e);
  SetTime(row[kExperimentStartMicros], &v1::Experiment::mutable_start_time, &e);
  SetTime(row[kExperimentRunMicros], &v1::Experiment::mutable_run_time, &e);
  SetTime(row[kExperimentEndMicros], &v1::Experiment::mutable_end_time, &e);
  if (!options.output_dir.empty())
    e.set_output_path(
        absl::StrCat(options.output_dir, "/", OutputSubpath(name, row[kExperimentProject].as<std::string>())));
  return e;
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

std::vector<std::string> Column(const pqxx::result& rows) {
  std::vector<std::string> out;
  out.reserve(rows.size());
  for (const auto& row : rows) out.push_back(row[0].as<std::string>());
  return out;
}

}  // namespace

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
  const std::string& user_uid = call.caller.user_uid();
  const auto rows = parsed.uid.empty()
                        ? sql::Query(tx, absl::StrCat(kFindExperiment, "AND e.number = $4 AND e.child = $5"),
                                     parsed.user, user_uid, IsAdmin(call), parsed.number, parsed.child)
                        : sql::Query(tx, absl::StrCat(kFindExperiment, "AND e.uid = $4::uuid"), parsed.user, user_uid,
                                     IsAdmin(call), parsed.uid);
  if (rows.empty()) return NotFound(name);
  const pqxx::row row = rows[0];
  return ExperimentKey{.uid = row["uid"].as<std::string>(),
                       .root_uid = row["root_uid"].as<std::string>(),
                       .user_uid = row["user_uid"].as<std::string>(),
                       .name = {.user = parsed.user,
                                .number = row["number"].as<std::int64_t>(),
                                .child = row["child"].as<std::int64_t>()},
                       .is_set = row["kind"].as<std::string>() == "SET"};
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
      tx, absl::StrCat(kSelectExperiments, "WHERE e.uid = ANY($1::uuid[]) ORDER BY array_position($1::uuid[], e.uid)"),
      ArrayLiteral(uids));
  const auto configs = LoadRootConfigs(tx, rows, kExperimentRootUid, whole);
  for (const auto& row : rows)
    experiments.push_back(ToExperiment(row, configs.at(row[kExperimentRootUid].as<std::string>()), whole, options));
  AddChildStates(tx, experiments);
  return experiments;
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
