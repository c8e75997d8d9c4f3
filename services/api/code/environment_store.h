// Records which jobs have built and use each environment, and which ones may be removed. Builder has the files.
#pragma once

#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/builder.pb.h"
#include "riseml/internal/v1/scheduling.pb.h"
#include "riseml/v1/environment.pb.h"
#include "riseml/v1/experiment.pb.h"
#include "services/api/data/database.h"
#include "services/api/data/lifecycle.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Records that a job starts with an environment. Returns why it must not, or empty.
std::string UseEnvironment(pqxx::transaction_base& tx, const internal::v1::Placement& placement, const JobRow& job);

// Records how and why an environment is built, when the job that is placed builds one.
void RecordPlan(pqxx::transaction_base& tx, const internal::v1::Placement& placement);

// The environment that jobs of an experiment or set used last; without a key when there is none.
v1::UsedEnvironment LoadUsedEnvironment(pqxx::transaction_base& tx, const std::string& experiment_uid);

// Failure of a build that the jobs waiting for it share: one of its steps failed after `job` was created.
struct SharedFailure {
  std::string message;  // with the name of the build
};
std::optional<SharedFailure> FindSharedFailure(pqxx::transaction_base& tx, const std::string& key, const JobRow& job);

// Thread-safe.
class EnvironmentStore {
 public:
  explicit EnvironmentStore(Database& db) : db_(db) {}  // outlives this

  using Stored = std::vector<internal::v1::StoredEnvironment>;

  // The environments of `stored` that the caller may see, the last used first. Without a caller all, even incomplete
  // ones.
  absl::StatusOr<std::vector<v1::StoredEnvironment>> List(const rpc::Call* call, const Stored& stored);

  // The whole key of an environment that the caller may remove. INVALID_ARGUMENT, NOT_FOUND.
  static absl::StatusOr<std::string> FindKey(const std::vector<v1::StoredEnvironment>& environments,
                                             const std::string& key);

  // Marks the environment so that no job starts with it any more. FAILED_PRECONDITION while one uses or builds it.
  // `call` may be absent.
  absl::Status BeginRemoval(const rpc::Call* call, const std::string& key);
  // Undoes BeginRemoval.
  absl::Status CancelRemoval(const std::string& key);

 private:
  Database& db_;
};

}  // namespace riseml::api
