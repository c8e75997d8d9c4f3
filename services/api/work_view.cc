// Jobs as the scheduler sees them.
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/api/experiment_spec.h"
#include "services/api/root_configs.h"
#include "services/api/states.h"
#include "services/api/views.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr int kRootColumn = 6;

std::string WorkSelect() {
  return absl::StrCat(
      "SELECT j.uid, u.name, e.number, e.child, j.name, j.experiment_uid, j.root_uid, j.role, j.state, j.kill_wanted, "
      "j.sequence, j.cpus, j.memory_bytes, j.gpus, j.wait_reason, j.wait_message, j.version, "
      "e.user_uid, e.project_uid, e.commit_id, a.number, a.node, a.state, a.gpu_uuids, j.reason, "
      "j.message, a.eviction_reason <> '', ",
      Micros("j.not_before"), ", ", kAvoidedNodes,
      ", j.member_index, j.member_count, j.gang "
      "FROM jobs j JOIN experiments e ON e.uid = j.experiment_uid JOIN users u ON u.uid = e.user_uid "
      "LEFT JOIN attempts a ON a.job_uid = j.uid AND a.state IN ('STARTING', 'RUNNING', 'SUSPENDED') ");
}

void FillHead(const pqxx::row& row, const ExperimentName& experiment, internal::v1::Work* work) {
  work->set_job_uid(row[0].as<std::string>());
  work->set_job(Print(JobName{experiment, row[4].as<std::string>()}));
  work->set_experiment_uid(row[5].as<std::string>());
  work->set_root_uid(row[6].as<std::string>());
  work->set_role(row[7].as<std::string>());
  work->set_state(JobStateProto(row[8].c_str()));
  work->set_kill(row[9].as<bool>());
  work->set_sequence(row[10].as<std::int64_t>());
  work->mutable_resources()->set_cpus(row[11].as<double>());
  work->mutable_resources()->set_memory_bytes(row[12].as<std::int64_t>());
  work->mutable_resources()->set_gpus(row[13].as<int>());
  work->set_wait_reason(row[14].as<std::string>());
  work->set_wait_message(row[15].as<std::string>());
  work->set_version(row[16].as<std::int64_t>());
}

void FillNeeds(const pqxx::row& row, const v1::TrainSpec& spec, internal::v1::Work* work) {
  work->set_priority(spec.priority());
  work->set_queue(spec.queue());
  *work->mutable_node_selectors() = spec.node_selectors();
  if (work->role() == kBuildRole) *work->mutable_next_resources() = spec.resources();
  if (!row[27].is_null()) *work->mutable_not_before() = ToTimestamp(row[27].as<std::int64_t>());
  for (absl::string_view node : SplitNodes(row[28])) work->add_avoided_nodes(std::string(node));
  work->set_member_index(row[29].as<int>());
  work->set_member_count(row[30].as<int>());
  if (!row[31].is_null()) work->set_gang(row[31].as<std::string>());
  if (spec.install().empty() && spec.framework().empty()) return;
  internal::v1::ResolveEnvironmentRequest* const environment = work->mutable_environment();
  environment->set_owner_uid(row[17].as<std::string>());
  environment->set_project_uid(row[18].as<std::string>());
  environment->set_commit(row[19].as<std::string>());
  *environment->mutable_install() = spec.install();
  environment->set_framework(spec.framework());
  environment->set_framework_version(spec.framework_version());
  if (spec.rebuild()) environment->set_rebuild(work->root_uid());
  environment->set_image(spec.image());
}

void FillAttempt(const pqxx::row& row, const AttemptTokens& tokens, internal::v1::Work* work) {
  if (row[20].is_null()) return;
  internal::v1::LiveAttempt* const attempt = work->mutable_attempt();
  attempt->set_number(row[20].as<int>());
  attempt->set_node(row[21].as<std::string>());
  v1::Attempt::State state = v1::Attempt::STATE_UNSPECIFIED;
  v1::Attempt::State_Parse(row[22].as<std::string>(), &state);
  attempt->set_state(state);
  for (absl::string_view gpu : absl::StrSplit(row[23].c_str(), ',', absl::SkipEmpty()))
    attempt->add_gpu_uuids(std::string(gpu));
  attempt->set_token(tokens.Make({work->job_uid(), attempt->number()}));
  attempt->set_evicted(row[26].as<bool>());
}

}  // namespace

std::vector<std::string> WaitingAndLiveJobUids(pqxx::transaction_base& tx) {
  std::vector<std::string> uids;
  for (const auto& row :
       tx.exec("SELECT uid FROM jobs WHERE state IN ('PENDING', 'STARTING', 'RUNNING', 'SERVING') ORDER BY sequence"))
    uids.push_back(row[0].as<std::string>());
  return uids;
}

absl::StatusOr<internal::v1::JobTemplate> LoadJobTemplate(pqxx::transaction_base& tx, const std::string& uid) {
  const pqxx::result rows =
      sql::Query(tx,
                 "SELECT e.root_uid, j.role, u.name, e.number, e.child, p.name, e.parameters::text, e.uid, "
                 "e.commit_id, e.tree_id, "
                 "e.user_uid, e.project_uid FROM jobs j JOIN experiments e ON e.uid = j.experiment_uid "
                 "JOIN users u ON u.uid = e.user_uid JOIN projects p ON p.uid = e.project_uid WHERE j.uid = $1",
                 uid);
  if (rows.empty()) return Error(Reason::kNotFound, absl::StrCat("there is no job ", uid));
  const pqxx::row& row = rows[0];
  const std::string root_uid = row[0].as<std::string>();
  const auto configs = LoadRootConfigs(tx, rows, 0, false);
  const ExperimentName experiment{
      .user = row[2].as<std::string>(), .number = row[3].as<std::int64_t>(), .child = row[4].as<std::int64_t>()};
  internal::v1::JobTemplate job;
  FillTemplate(configs.at(root_uid).spec, row[1].as<std::string>(), experiment, row[5].as<std::string>(),
               ParametersFromJson(row[6].as<std::string>()), row[7].as<std::string>(), root_uid,
               row[8].as<std::string>(), &job);
  job.set_commit(row[8].as<std::string>());
  job.set_tree(row[9].as<std::string>());
  job.set_owner_uid(row[10].as<std::string>());
  job.set_project_uid(row[11].as<std::string>());
  return job;
}

std::vector<internal::v1::Work> LoadWork(pqxx::transaction_base& tx, const std::vector<std::string>& uids,
                                         const AttemptTokens& tokens) {
  const pqxx::result rows =
      sql::Query(tx, WorkSelect() + "WHERE j.uid = ANY($1::uuid[]) AND j.state <> 'CREATED' ORDER BY j.sequence",
                 ArrayLiteral(uids));
  const auto configs = LoadRootConfigs(tx, rows, kRootColumn, false);
  std::vector<internal::v1::Work> out;
  out.reserve(rows.size());
  for (const auto& row : rows) {
    const std::optional<JobState> state = FindJobState(row[8].c_str());
    if (!state) {
      LogError("job_state_unknown", {{"job_uid", row[0].c_str()}, {"state", row[8].c_str()}});
      continue;
    }
    internal::v1::Work& work = out.emplace_back();
    const ExperimentName experiment{
        .user = row[1].as<std::string>(), .number = row[2].as<std::int64_t>(), .child = row[3].as<std::int64_t>()};
    FillHead(row, experiment, &work);
    if (IsTerminal(*state)) {  // nobody will start it
      work.set_reason(row[24].as<std::string>());
      work.set_message(row[25].as<std::string>());
      continue;
    }
    FillNeeds(row, configs.at(work.root_uid()).spec, &work);
    FillAttempt(row, tokens, &work);
  }
  return out;
}

}  // namespace riseml::api
