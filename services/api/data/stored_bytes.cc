#include "services/api/data/stored_bytes.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/api/data/records.h"
#include "services/common/base/byte_size.h"
#include "services/common/base/status.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{1} << 46;  // 64 TiB; 131,071 of them fit into the sum of a user

constexpr char kReplaceOutput[] = R"sql(
  UPDATE experiments e
  SET output_bytes = $2, output_at_least = $3, version = e.version + 1
  FROM (SELECT uid, output_bytes, user_uid FROM experiments WHERE uid = $1) b
  WHERE e.uid = b.uid
  RETURNING b.output_bytes, b.user_uid
)sql";

constexpr char kGrowSet[] = R"sql(
  UPDATE experiments e
  SET output_bytes = e.output_bytes + $2 + $3 - b.shared_bytes,
    shared_bytes = $3,
    output_at_least = e.output_at_least OR $4,
    version = e.version + 1
  FROM (SELECT uid, shared_bytes FROM experiments WHERE uid = $1) b
  WHERE e.uid = b.uid
  RETURNING b.shared_bytes
)sql";

// Output and logs of a root.
constexpr char kSelectKeptBytes[] = R"sql(
  SELECT output_bytes + (
    SELECT COALESCE(sum(a.log_bytes), 0)
    FROM jobs j
    JOIN attempts a ON a.job_uid = j.uid
    WHERE j.root_uid = $1)::bigint
  FROM experiments
  WHERE uid = $1
)sql";

// Returns false if this attempt was counted before.
bool NoteMeasured(pqxx::transaction_base& tx, const JobRow& job, int attempt, std::int64_t bytes) {
  return sql::Query(tx,
                    "UPDATE attempts SET output_bytes = $3 WHERE job_uid = $1 AND number = $2 AND output_bytes IS NULL",
                    job.uid, attempt, bytes)
             .affected_rows() > 0;
}

bool IsNewestMeasured(pqxx::transaction_base& tx, const JobRow& job, int attempt) {
  return sql::Query(tx,
                    "SELECT 1 FROM attempts WHERE job_uid = $1 AND number > $2 AND output_bytes IS NOT NULL LIMIT 1",
                    job.uid, attempt)
      .empty();
}

// Bytes that an experiment's row had, and the owner of the experiment.
struct OutputRow {
  std::int64_t bytes = 0;
  std::string user_uid;
};

OutputRow ReplaceOutput(pqxx::transaction_base& tx, const JobRow& job, std::int64_t bytes, bool at_least) {
  const pqxx::row before = sql::QueryRow(tx, kReplaceOutput, job.experiment_uid, bytes, at_least);
  RecordFeed(tx, job.root_uid, FeedKind::kExperiment, job.experiment_uid);
  return {before[0].as<std::int64_t>(), before[1].as<std::string>()};
}

// Adds the growth of a child's output and the size of what the children share. Returns by how much the set has grown.
std::int64_t GrowSet(pqxx::transaction_base& tx, const JobRow& job, std::int64_t grown, std::int64_t shared,
                     bool at_least) {
  const pqxx::row before = sql::QueryRow(tx, kGrowSet, job.root_uid, grown, shared, at_least);
  RecordFeed(tx, job.root_uid, FeedKind::kExperiment, job.root_uid);
  return grown + shared - before[0].as<std::int64_t>();
}

std::string OwnerOfRoot(pqxx::transaction_base& tx, const std::string& root_uid) {
  return sql::QueryRow(tx, "SELECT user_uid FROM experiments WHERE uid = $1", root_uid)[0].as<std::string>();
}

}  // namespace

absl::Status CheckRoom(const rpc::Call& call, const std::string& user, std::int64_t kept, std::int64_t more,
                       const UserLimits& limits) {
  if (limits.bytes < 0 || kept + std::max<std::int64_t>(more, 1) <= limits.bytes) return absl::OkStatus();
  const bool own = user == call.caller.user();
  return LimitExceeded(
      absl::StrCat(own ? "you keep " : absl::StrCat("user ", user, " keeps "), PrintSize(kept),
                   " of outputs, logs and code, ",
                   more > 0 ? absl::StrCat("this push adds ", PrintSize(more), ", ") : "", PrintSize(limits.bytes),
                   " are allowed; delete what you do not need with riseml rm ID or riseml project rm NAME, or ask an "
                   "administrator to raise the limit"),
      limits.bytes, kept + more);
}

std::int64_t CountedBytes(std::int64_t reported) { return std::clamp<std::int64_t>(reported, 0, kMostBytes); }

void StoredBytes::TakeOutput(pqxx::transaction_base& tx, const JobRow& job, int attempt,
                             const internal::v1::OutputSize& size) {
  const std::int64_t bytes = CountedBytes(size.bytes());
  if (!NoteMeasured(tx, job, attempt, bytes) || !IsNewestMeasured(tx, job, attempt)) return;
  const OutputRow before = ReplaceOutput(tx, job, bytes, size.at_least());
  std::int64_t grown = bytes - before.bytes;
  if (job.experiment_uid != job.root_uid)
    grown = GrowSet(tx, job, grown, CountedBytes(size.shared_bytes()), size.at_least());
  by_user_[before.user_uid] += grown;
}

void StoredBytes::AddLog(pqxx::transaction_base& tx, const std::string& root_uid, std::int64_t bytes) {
  by_user_[OwnerOfRoot(tx, root_uid)] += bytes;
}

void StoredBytes::Remove(pqxx::transaction_base& tx, const std::string& root_uid) {
  const pqxx::row kept = sql::QueryRow(tx, kSelectKeptBytes, root_uid);
  by_user_[OwnerOfRoot(tx, root_uid)] -= kept[0].as<std::int64_t>();
}

void StoredBytes::Write(pqxx::transaction_base& tx) const {
  for (const auto& [user_uid, bytes] : by_user_)
    if (bytes != 0)
      sql::Query(tx, R"sql(
        INSERT INTO user_usage (user_uid, stored_bytes)
        VALUES ($1, $2)
        ON CONFLICT (user_uid) DO UPDATE SET stored_bytes = user_usage.stored_bytes + excluded.stored_bytes
      )sql",
                 user_uid, bytes);
}

}  // namespace riseml::api
