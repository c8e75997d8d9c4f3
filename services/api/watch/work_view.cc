// Jobs as the scheduler sees them.
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/api/data/experiment_spec.h"
#include "services/api/data/root_configs.h"
#include "services/api/data/states.h"
#include "services/api/data/views.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

// In the order of WorkColumn.
std::string WorkSelect() {
  return absl::StrCat(R"sql(
      SELECT u.name, e.number, e.child, e.user_uid, e.project_uid, e.commit_id,
        j.uid, j.name, j.experiment_uid, j.root_uid, j.role, j.state, j.kill_wanted, j.sequence,
        j.cpus, j.memory_bytes, j.gpus, j.wait_reason, j.wait_message, j.version, j.reason, j.message,
        j.member_index, j.member_count, j.gang, )sql",
                      Micros("j.not_before"), ", ", kAvoidedNodes, R"sql(,
        a.number, a.node, a.state, a.gpu_uuids, a.eviction_reason <> ''
      FROM jobs j
      JOIN experiments e ON e.uid = j.experiment_uid
      JOIN users u ON u.uid = e.user_uid
      LEFT JOIN attempts a ON a.job_uid = j.uid AND a.state IN ('STARTING', 'RUNNING', 'SUSPENDED')
    )sql");
}

enum WorkColumn : int {
  kWorkUser,
  kWorkNumber,
  kWorkChild,
  kWorkUserUid,
  kWorkProjectUid,
  kWorkCommit,
  kWorkUid,
  kWorkJob,
  kWorkExperimentUid,
  kWorkRootUid,
  kWorkRole,
  kWorkState,
  kWorkKillWanted,
  kWorkSequence,
  kWorkCpus,
  kWorkMemoryBytes,
  kWorkGpus,
  kWorkWaitReason,
  kWorkWaitMessage,
  kWorkVersion,
  kWorkReason,
  kWorkMessage,
  kWorkMemberIndex,
  kWorkMemberCount,
  kWorkGang,
  kWorkNotBeforeMicros,
  kWorkAvoidedNodes,
  kWorkAttempt,
  kWorkNode,
  kWorkAttemptState,
  kWorkGpuUuids,
  kWorkEvicted
};

constexpr char kSelectTemplate[] = R"sql(
  SELECT e.uid, e.root_uid, e.number, e.child, e.parameters::text AS parameters, e.commit_id, e.tree_id,
    e.user_uid, e.project_uid, j.role, u.name AS user_name, p.name AS project_name
  FROM jobs j
  JOIN experiments e ON e.uid = j.experiment_uid
  JOIN users u ON u.uid = e.user_uid
  JOIN projects p ON p.uid = e.project_uid
  WHERE j.uid = $1
)sql";

void FillHead(const pqxx::row& row, const ExperimentName& experiment, internal::v1::Work* work) {
  work->set_job_uid(row[kWorkUid].as<std::string>());
  work->set_job(Print(JobName{experiment, row[kWorkJob].as<std::string>()}));
  work->set_experiment_uid(row[kWorkExperimentUid].as<std::string>());
  work->set_root_uid(row[kWorkRootUid].as<std::string>());
  work->set_user_uid(row[kWorkUserUid].as<std::string>());
  work->set_role(row[kWorkRole].as<std::string>());
  work->set_state(JobStateProto(row[kWorkState].c_str()));
  work->set_kill(row[kWorkKillWanted].as<bool>());
  work->set_sequence(row[kWorkSequence].as<std::int64_t>());
  work->mutable_resources()->set_cpus(row[kWorkCpus].as<double>());
  work->mutable_resources()->set_memory_bytes(row[kWorkMemoryBytes].as<std::int64_t>());
  work->mutable_resources()->set_gpus(row[kWorkGpus].as<int>());
  work->set_wait_reason(row[kWorkWaitReason].as<std::string>());
  work->set_wait_message(row[kWorkWaitMessage].as<std::string>());
  work->set_version(row[kWorkVersion].as<std::int64_t>());
}

void FillNeeds(const pqxx::row& row, const v1::TrainSpec& spec, internal::v1::Work* work) {
  work->set_priority(spec.priority());
  work->set_queue(spec.queue());
  *work->mutable_node_selectors() = spec.node_selectors();
  if (work->role() == kBuildRole) *work->mutable_next_resources() = spec.resources();
  if (const auto not_before = row[kWorkNotBeforeMicros]; !not_before.is_null())
    *work->mutable_not_before() = ToTimestamp(not_before.as<std::int64_t>());
  for (absl::string_view node : SplitNodes(row[kWorkAvoidedNodes])) work->add_avoided_nodes(std::string(node));
  work->set_member_index(row[kWorkMemberIndex].as<int>());
  work->set_member_count(row[kWorkMemberCount].as<int>());
  if (!row[kWorkGang].is_null()) work->set_gang(row[kWorkGang].as<std::string>());
  if (!NeedsEnvironment(spec)) return;
  internal::v1::ResolveEnvironmentRequest* const environment = work->mutable_environment();
  environment->set_owner_uid(row[kWorkUserUid].as<std::string>());
  environment->set_project_uid(row[kWorkProjectUid].as<std::string>());
  environment->set_commit(row[kWorkCommit].as<std::string>());
  *environment->mutable_install() = spec.install();
  environment->set_framework(spec.framework());
  environment->set_framework_version(spec.framework_version());
  if (spec.rebuild()) environment->set_rebuild(work->root_uid());
  environment->set_image(spec.image());
  environment->set_base_image(spec.base_image());
}

void FillAttempt(const pqxx::row& row, const AttemptTokens& tokens, internal::v1::Work* work) {
  if (row[kWorkAttempt].is_null()) return;
  internal::v1::LiveAttempt* const attempt = work->mutable_attempt();
  attempt->set_number(row[kWorkAttempt].as<int>());
  attempt->set_node(row[kWorkNode].as<std::string>());
  v1::Attempt::State state = v1::Attempt::STATE_UNSPECIFIED;
  v1::Attempt::State_Parse(row[kWorkAttemptState].as<std::string>(), &state);
  attempt->set_state(state);
  for (absl::string_view gpu : absl::StrSplit(row[kWorkGpuUuids].c_str(), ',', absl::SkipEmpty()))
    attempt->add_gpu_uuids(std::string(gpu));
  attempt->set_token(tokens.Make({work->job_uid(), attempt->number()}));
  attempt->set_evicted(row[kWorkEvicted].as<bool>());
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
  const pqxx::result rows = sql::Query(tx, kSelectTemplate, uid);
  if (rows.empty()) return Error(Reason::kNotFound, absl::StrCat("there is no job ", uid));
  const pqxx::row& row = rows[0];
  const std::string root_uid = row["root_uid"].as<std::string>(), commit = row["commit_id"].as<std::string>();
  const auto configs = LoadRootConfigs(tx, rows, static_cast<int>(rows.column_number("root_uid")), false);
  const ExperimentName experiment{.user = row["user_name"].as<std::string>(),
                                  .number = row["number"].as<std::int64_t>(),
                                  .child = row["child"].as<std::int64_t>()};
  internal::v1::JobTemplate job;
  FillTemplate(configs.at(root_uid).spec, row["role"].as<std::string>(), experiment,
               row["project_name"].as<std::string>(), ParametersFromJson(row["parameters"].as<std::string>()),
               row["uid"].as<std::string>(), root_uid, commit, &job);
  job.set_commit(commit);
  job.set_tree(row["tree_id"].as<std::string>());
  job.set_owner_uid(row["user_uid"].as<std::string>());
  job.set_project_uid(row["project_uid"].as<std::string>());
  return job;
}

std::vector<internal::v1::Work> LoadWork(pqxx::transaction_base& tx, const std::vector<std::string>& uids,
                                         const AttemptTokens& tokens) {
  const pqxx::result rows =
      sql::Query(tx, WorkSelect() + "WHERE j.uid = ANY($1::uuid[]) AND j.state <> 'CREATED' ORDER BY j.sequence",
                 ArrayLiteral(uids));
  const auto configs = LoadRootConfigs(tx, rows, kWorkRootUid, false);
  std::vector<internal::v1::Work> out;
  out.reserve(rows.size());
  for (const auto& row : rows) {
    const std::optional<JobState> state = FindJobState(row[kWorkState].c_str());
    if (!state) {
      LogError("job_state_unknown", {{"job_uid", row[kWorkUid].c_str()}, {"state", row[kWorkState].c_str()}});
      continue;
    }
    internal::v1::Work& work = out.emplace_back();
    const ExperimentName experiment{.user = row[kWorkUser].as<std::string>(),
                                    .number = row[kWorkNumber].as<std::int64_t>(),
                                    .child = row[kWorkChild].as<std::int64_t>()};
    FillHead(row, experiment, &work);
    if (IsTerminal(*state)) {  // nobody will start it
      work.set_reason(row[kWorkReason].as<std::string>());
      work.set_message(row[kWorkMessage].as<std::string>());
      continue;
    }
    FillNeeds(row, configs.at(work.root_uid()).spec, &work);
    FillAttempt(row, tokens, &work);
  }
  return out;
}

}  // namespace riseml::api
