#include "services/api/scheduling/retries.h"

#include "services/common/base/threads/backoff.h"
#include "services/common/sql/statement.h"

namespace riseml::api {
namespace {

constexpr absl::Duration kFirstPause = absl::Seconds(10), kLongestPause = absl::Minutes(6);

}  // namespace

std::optional<Retry> NextRetry(const v1::RetryPolicy& policy, v1::Attempt::ExitClass exit_class, int failures) {
  const int most = exit_class == v1::Attempt::INFRASTRUCTURE ? policy.infrastructure() : policy.error();
  if (failures > most) return std::nullopt;
  return Retry{.number = failures, .most = most, .pause = Backoff(failures - 1, kFirstPause, kLongestPause)};
}

std::optional<Retry> RetryOf(pqxx::transaction_base& tx, const std::string& job_uid, const std::string& root_uid,
                             v1::Attempt::ExitClass exit_class) {
  v1::TrainSpec spec;
  const pqxx::row root = sql::QueryRow(tx, "SELECT spec FROM experiments WHERE uid = $1", root_uid);
  spec.ParseFromString(pqxx::binarystring(root[0]).str());
  if (!spec.has_retries()) return std::nullopt;
  const int failures =
      sql::QueryRow(tx,
                    "SELECT count(*) FROM attempts WHERE job_uid = $1 AND state = 'FAILED' AND (exit_class = $2) = $3",
                    job_uid, v1::Attempt::ExitClass_Name(v1::Attempt::INFRASTRUCTURE),
                    exit_class == v1::Attempt::INFRASTRUCTURE)[0]
          .as<int>();
  return NextRetry(spec.retries(), exit_class, failures);
}

void DelayJob(pqxx::transaction_base& tx, const std::string& job_uid, const Retry& retry) {
  sql::Query(tx, "UPDATE jobs SET not_before = now() + make_interval(secs => $2) WHERE uid = $1", job_uid,
             absl::ToDoubleSeconds(retry.pause));
}

}  // namespace riseml::api
