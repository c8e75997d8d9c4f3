// Loads rows of the database as messages of riseml.v1. Read-only.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "riseml/internal/v1/scheduling.pb.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/job.pb.h"
#include "services/api/data/attempt_tokens.h"
#include "services/common/base/names.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

struct ViewOptions {
  std::string output_dir;  // empty on a cluster
};

// Identifies an experiment that a caller may see.
struct ExperimentKey {
  std::string uid, root_uid, user_uid;
  ExperimentName name;  // with numbers, also when it was asked for by UUID
  bool is_set = false;
};

// Finds an experiment. NOT_FOUND if it is absent or belongs to somebody else; the two answers are byte for byte the
// same.
absl::StatusOr<ExperimentKey> FindExperiment(pqxx::transaction_base& tx, const rpc::Call& call, absl::string_view name);

// Identifies a job that a caller may see.
struct JobKey {
  std::string uid, root_uid;
  JobName name;
};
// Finds a job. NOT_FOUND as for FindExperiment.
absl::StatusOr<JobKey> FindJob(pqxx::transaction_base& tx, const rpc::Call& call, absl::string_view name);

// Experiments in the order of `uids`; absent ones are left out. `whole` adds config_text, and to children the spec of
// their set.
std::vector<v1::Experiment> LoadExperiments(pqxx::transaction_base& tx, const std::vector<std::string>& uids,
                                            bool whole, const ViewOptions& options);
// Jobs with these UUIDs, with their newest attempt, by sequence. `all_attempts` gives all of them.
std::vector<v1::Job> LoadJobs(pqxx::transaction_base& tx, const std::vector<std::string>& uids, bool all_attempts);
// Jobs of one experiment (of a set: its own), by sequence.
std::vector<v1::Job> LoadJobsOf(pqxx::transaction_base& tx, const std::string& experiment_uid);
// UUIDs of the jobs of one experiment (of a set: its own), and of all jobs below a root; by sequence.
std::vector<std::string> JobUidsOf(pqxx::transaction_base& tx, const std::string& experiment_uid);
std::vector<std::string> JobUidsBelow(pqxx::transaction_base& tx, const std::string& root_uid);
// The same without CREATED jobs: a large set has thousands of them, and only their experiment shows them.
std::vector<std::string> ReleasedJobUidsBelow(pqxx::transaction_base& tx, const std::string& root_uid);
// UUIDs of an experiment and all its children, itself first.
std::vector<std::string> ExperimentUidsOf(pqxx::transaction_base& tx, const std::string& root_uid);

// UUIDs of all jobs that are PENDING or live, by sequence.
std::vector<std::string> WaitingAndLiveJobUids(pqxx::transaction_base& tx);
// Jobs with these UUIDs as the scheduler sees them, by sequence. Never CREATED ones.
std::vector<internal::v1::Work> LoadWork(pqxx::transaction_base& tx, const std::vector<std::string>& uids,
                                         const AttemptTokens& tokens);
// Loads all that a node needs to start the job. NOT_FOUND.
absl::StatusOr<internal::v1::JobTemplate> LoadJobTemplate(pqxx::transaction_base& tx, const std::string& uid);

// State names of the database are those of the protos.
v1::Job::State JobStateProto(const char* name);
// A PostgreSQL array literal of UUIDs or other texts without commas, quotes and braces.
std::string ArrayLiteral(const std::vector<std::string>& items);
// Microseconds since 1970 into a Timestamp.
google::protobuf::Timestamp ToTimestamp(std::int64_t micros);
// Sets a time of a message to the microseconds in a column; leaves it absent for NULL.
template <class Message>
void SetTime(const pqxx::field& field, google::protobuf::Timestamp* (Message::*mutable_field)(), Message* message) {
  if (!field.is_null()) *(message->*mutable_field)() = ToTimestamp(field.as<std::int64_t>());
}
// SQL for the micros of a timestamptz column.
std::string Micros(absl::string_view column);

// Column of a query over jobs `j`: nodes on which the job has failed through no fault of its own, with commas between;
// NULL when there are none.
inline constexpr char kAvoidedNodes[] = R"sql(
  CASE WHEN j.attempt_count > 1 OR (j.attempt_count = 1 AND j.state = 'PENDING') THEN (
    SELECT string_agg(DISTINCT f.node, ',' ORDER BY f.node)
    FROM attempts f
    WHERE f.job_uid = j.uid AND f.state = 'FAILED' AND f.exit_class = 'INFRASTRUCTURE')
  END
)sql";
std::vector<absl::string_view> SplitNodes(const pqxx::field& nodes);

}  // namespace riseml::api
