#include "services/api/data/child_counts.h"

#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr char kCountMove[] = R"sql(
  INSERT INTO child_counts (root_uid, state, count)
  VALUES ($1, $2, -$4::int), ($1, $3, $4)
  ON CONFLICT (root_uid, state) DO UPDATE SET count = child_counts.count + EXCLUDED.count
)sql";

// For an array the planner expects few rows; otherwise it would read the whole table.
constexpr char kReleaseChildren[] = R"sql(
  WITH next AS (
    SELECT uid, number, child
    FROM experiments
    WHERE root_uid = $1 AND child > $3 AND state = 'CREATED'
    ORDER BY child
    LIMIT $2),
  moved AS (
    UPDATE experiments
    SET state = 'PENDING', version = version + 1
    WHERE uid = ANY (ARRAY (SELECT uid FROM next))),
  jobs_moved AS (
    UPDATE jobs j
    SET state = 'PENDING', wait_reason = '', wait_message = '', version = version + 1
    WHERE j.experiment_uid = ANY (ARRAY (SELECT uid FROM next)) AND j.state = 'CREATED'
    RETURNING j.uid, j.experiment_uid, j.name),
  history AS (
    INSERT INTO transitions (root_uid, object, from_state, to_state, actor)
    SELECT $1, number || '.' || child, 'CREATED', 'PENDING', 'api'
    FROM next
    UNION ALL
    SELECT $1, n.number || '.' || n.child || '.' || j.name, 'CREATED', 'PENDING', 'api'
    FROM jobs_moved j
    JOIN next n ON n.uid = j.experiment_uid),
  told AS (
    INSERT INTO feed (root_uid, kind, uid)
    SELECT $1, 'EXPERIMENT', uid FROM next
    UNION ALL
    SELECT $1, 'JOB', uid FROM jobs_moved)
  SELECT count(*) FROM next
)sql";

}  // namespace

void CountNewChildren(pqxx::transaction_base& tx, const std::string& root_uid, int count) {
  sql::Query(tx, "INSERT INTO child_counts (root_uid, state, count) VALUES ($1, $2, $3)", root_uid,
             std::string(Name(ExperimentState::kCreated)), count);
}

ChildCounts CountChildren(pqxx::transaction_base& tx, const std::string& root_uid) {
  ChildCounts counts;
  for (const auto& row :
       sql::Query(tx, "SELECT state, count FROM child_counts WHERE root_uid = $1 AND count > 0", root_uid))
    counts.by_state[static_cast<int>(ParseExperimentState(row[0].c_str()))] = row[1].as<int>();
  return counts;
}

void CountMove(pqxx::transaction_base& tx, const std::string& root_uid, absl::string_view from, absl::string_view to,
               int count) {
  if (count == 0) return;
  sql::Query(tx, kCountMove, root_uid, std::string(from), std::string(to), count);
}

void ReleaseChildren(pqxx::transaction_base& tx, const std::string& root_uid, int count, const ChildCounts& children) {
  const pqxx::row row = sql::QueryRow(tx, kReleaseChildren, root_uid, count, children.FirstCreatedBehind());
  CountMove(tx, root_uid, Name(ExperimentState::kCreated), Name(ExperimentState::kPending), row[0].as<int>());
}

}  // namespace riseml::api
