#include "services/api/scheduling/plan_commit.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/api/code/environment_store.h"
#include "services/api/data/lifecycle.h"
#include "services/api/data/records.h"
#include "services/api/data/views.h"
#include "services/common/base/names.h"
#include "services/common/base/status.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

using internal::v1::CommitPlanRequest;
using internal::v1::GroupResult;
using internal::v1::Placement;
using internal::v1::PlacementGroup;
using internal::v1::PlacementResult;

constexpr int kMostPlanItems = 1000;

constexpr char kLockRootsOf[] = R"sql(
  SELECT 1
  FROM experiments
  WHERE uid IN (SELECT root_uid FROM jobs WHERE uid = ANY($1::uuid[]))
  ORDER BY uid
  FOR NO KEY UPDATE
)sql";

// Has no effect while another unfinished job builds the environment.
constexpr char kClaimEnvironment[] = R"sql(
  INSERT INTO environments (key, state, build_job)
  VALUES ($1, 'BUILDING', $2)
  ON CONFLICT (key) DO UPDATE SET state = 'BUILDING', build_job = EXCLUDED.build_job, update_time = now()
  WHERE environments.state <> 'BUILDING'
    OR environments.build_job = EXCLUDED.build_job
    OR NOT EXISTS (
      SELECT 1
      FROM jobs
      WHERE uid = environments.build_job AND state NOT IN ('FINISHED', 'FAILED', 'KILLED'))
  RETURNING key
)sql";

constexpr char kSelectBuilder[] = R"sql(
  SELECT u.name AS user_name, e.number, e.child, j.name AS job_name
  FROM environments v
  JOIN jobs j ON j.uid = v.build_job
  JOIN experiments e ON e.uid = j.experiment_uid
  JOIN users u ON u.uid = e.user_uid
  WHERE v.key = $1
)sql";

constexpr char kInsertAttempt[] = R"sql(
  INSERT INTO attempts (job_uid, number, state, node, gpu_uuids, epoch, environment_key, environment_digest)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
)sql";

constexpr char kRecordWaits[] = R"sql(
  WITH changed AS (
    UPDATE jobs
    SET wait_reason = $2, wait_message = $3, version = version + 1
    WHERE uid = ANY($1::uuid[]) AND state = 'PENDING' AND (wait_reason, wait_message) <> ($2, $3)
    RETURNING uid, root_uid)
  INSERT INTO feed (root_uid, kind, uid)
  SELECT root_uid, 'JOB', uid
  FROM changed
)sql";

constexpr char kRecordEviction[] = R"sql(
  WITH marked AS (
    UPDATE attempts
    SET eviction_reason = $3, eviction_message = $4
    WHERE job_uid = $1 AND number = $2 AND state IN ('STARTING', 'RUNNING', 'SUSPENDED') AND eviction_reason = ''
    RETURNING job_uid),
  changed AS (
    UPDATE jobs
    SET version = version + 1
    WHERE uid IN (SELECT job_uid FROM marked)
    RETURNING uid, root_uid)
  INSERT INTO feed (root_uid, kind, uid)
  SELECT root_uid, 'JOB', uid
  FROM changed
)sql";

// Every change of a job or an experiment locks its root first. Locks all roots of a plan in one order, so that two
// transactions never wait for each other.
void LockRoots(pqxx::transaction_base& tx, const CommitPlanRequest& request) {
  std::vector<std::string> jobs;
  for (const PlacementGroup& group : request.groups())
    for (const Placement& placement : group.placements()) jobs.push_back(placement.job_uid());
  for (const internal::v1::Wait& wait : request.waits()) jobs.push_back(wait.job_uid());
  for (const internal::v1::Eviction& eviction : request.evictions()) jobs.push_back(eviction.job_uid());
  sql::Query(tx, kLockRootsOf, ArrayLiteral(jobs));
}

// Allows one live build for each key. Absent if this job may build it; otherwise the job that does.
std::optional<JobName> ClaimEnvironment(pqxx::transaction_base& tx, const std::string& key,
                                        const std::string& job_uid) {
  if (!sql::Query(tx, kClaimEnvironment, key, job_uid).empty()) return std::nullopt;
  const pqxx::row row = sql::QueryRow(tx, kSelectBuilder, key);
  return JobName{
      {row["user_name"].as<std::string>(), row["number"].as<std::int64_t>(), row["child"].as<std::int64_t>()},
      row["job_name"].as<std::string>()};
}

void CommitPlacement(pqxx::transaction_base& tx, const internal::v1::Placement& placement, std::int64_t epoch,
                     const AttemptTokens& tokens, PlacementResult* result) {
  result->set_job_uid(placement.job_uid());
  std::optional<JobRow> job = ReadJob(tx, placement.job_uid());
  const auto refuse = [&](PlacementResult::Refusal refusal, std::string message) {
    result->set_refusal(refusal);
    result->set_message(std::move(message));
  };
  if (!job) return refuse(PlacementResult::UNKNOWN_JOB, "the job does not exist");
  if (job->state != JobState::kPending || job->kill_wanted)
    return refuse(PlacementResult::NOT_PENDING,
                  absl::StrCat("the job is ", job->kill_wanted ? "to be killed" : Name(job->state)));
  if (std::string removed = UseEnvironment(tx, placement, *job); !removed.empty())
    return refuse(PlacementResult::ENVIRONMENT_REMOVED, std::move(removed));
  if (!placement.environment_key().empty()) {
    if (const auto failure = FindSharedFailure(tx, placement.environment_key(), *job)) {
      MoveJob(
          tx, *job, JobEvent::kImpossible,
          {.reason = "BUILD_FAILED", .message = failure->message, .exit_code = std::nullopt, .actor = kSchedulerActor});
      return refuse(PlacementResult::BUILD_FAILED, "the build of its environment has failed");
    }
    if (const auto building = ClaimEnvironment(tx, placement.environment_key(), job->uid)) {
      result->set_building_job(Print(*building));
      return refuse(PlacementResult::ENVIRONMENT_BUSY,
                    absl::StrCat("its environment is being built by ", Print(*building)));
    }
  }
  RecordPlan(tx, placement);
  if (!MoveJob(tx, *job, JobEvent::kPlaced, {.reason = "PREPARE", .message = "Preparing", .actor = kSchedulerActor}))
    return;
  result->set_attempt(job->attempt_count);
  result->set_token(tokens.Make({job->uid, job->attempt_count}));
  sql::Query(tx, kInsertAttempt, job->uid, job->attempt_count, std::string(Name(AttemptState::kStarting)),
             placement.node(), absl::StrJoin(placement.gpu_uuids(), ","), epoch,
             placement.environment_key().empty() ? placement.uses_environment() : placement.environment_key(),
             placement.environment().digest());
  RecordTransition(tx, {.root_uid = job->root_uid,
                        .object = job->object,
                        .attempt = job->attempt_count,
                        .from = "",
                        .to = std::string(Name(AttemptState::kStarting)),
                        .reason = "PLACED",
                        .message = absl::StrCat("on node ", placement.node()),
                        .actor = kSchedulerActor});
}

void Refuse(const PlacementGroup& group, const PlacementResult& refused, GroupResult* result) {
  result->clear_results();
  for (const Placement& placement : group.placements()) {
    PlacementResult* const member = result->add_results();
    member->set_job_uid(placement.job_uid());
    member->set_refusal(PlacementResult::GROUP_REFUSED);
    member->set_message(absl::StrCat("another job of its group was refused: ", refused.message()));
    if (placement.job_uid() == refused.job_uid()) *member = refused;
  }
}

void CommitGroup(pqxx::transaction_base& tx, const PlacementGroup& group, std::int64_t epoch,
                 const AttemptTokens& tokens, GroupResult* result) {
  // The effects of refusing a lone job, such as its failure, must stay.
  if (group.placements_size() == 1)
    return CommitPlacement(tx, group.placements(0), epoch, tokens, result->add_results());
  // pqxx::subtransaction makes no savepoint before its first exec, and statements with parameters do not count as one.
  tx.exec("SAVEPOINT whole_group");
  for (const Placement& placement : group.placements()) {
    PlacementResult* const member = result->add_results();
    CommitPlacement(tx, placement, epoch, tokens, member);
    if (member->attempt() > 0) continue;
    tx.exec("ROLLBACK TO SAVEPOINT whole_group");
    return Refuse(group, PlacementResult(*member), result);
  }
  tx.exec("RELEASE SAVEPOINT whole_group");
}

// Uses one statement for all jobs with the same reason, as most jobs of a large set have.
void RecordWaits(pqxx::transaction_base& tx, const CommitPlanRequest& request) {
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> jobs;  // by reason and message
  for (const internal::v1::Wait& wait : request.waits())
    jobs[{wait.reason(), wait.message()}].push_back(wait.job_uid());
  for (const auto& [why, uids] : jobs) sql::Query(tx, kRecordWaits, ArrayLiteral(uids), why.first, why.second);
}

void RecordEviction(pqxx::transaction_base& tx, const internal::v1::Eviction& eviction) {
  sql::Query(tx, kRecordEviction, eviction.job_uid(), eviction.attempt(), eviction.reason(), eviction.message());
}

}  // namespace

absl::Status CheckPlan(const CommitPlanRequest& request) {
  std::set<std::string> jobs;
  int items = request.waits_size() + request.evictions_size();
  for (const PlacementGroup& group : request.groups()) {
    items += group.placements_size();
    if (group.placements().empty()) return Error(Reason::kInvalidArgument, "a group has no placement");
    for (const Placement& placement : group.placements()) {
      if (!jobs.insert(placement.job_uid()).second)
        return Error(Reason::kInvalidArgument, absl::StrCat("job ", placement.job_uid(), " is placed twice"));
      if (!placement.environment_key().empty() && group.placements_size() > 1)
        return Error(Reason::kInvalidArgument, absl::StrCat("build ", placement.job_uid(), " is not alone"));
    }
  }
  for (const internal::v1::Eviction& eviction : request.evictions())
    if (eviction.reason().empty())
      return Error(Reason::kInvalidArgument, absl::StrCat("the eviction of ", eviction.job_uid(), " has no reason"));
  if (items > kMostPlanItems)
    return Error(Reason::kInvalidArgument,
                 absl::StrCat("a plan has at most ", kMostPlanItems, " placements, waits and evictions, not ", items));
  return absl::OkStatus();
}

internal::v1::CommitPlanResponse CommitWholePlan(pqxx::transaction_base& tx, const CommitPlanRequest& request,
                                                 const AttemptTokens& tokens) {
  LockRoots(tx, request);
  internal::v1::CommitPlanResponse response;
  for (const PlacementGroup& group : request.groups())
    CommitGroup(tx, group, request.epoch(), tokens, response.add_groups());
  RecordWaits(tx, request);
  for (const internal::v1::Eviction& eviction : request.evictions()) RecordEviction(tx, eviction);
  return response;
}

}  // namespace riseml::api
