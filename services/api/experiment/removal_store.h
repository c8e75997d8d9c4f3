// Deletes experiments and projects: their rows at once, the data of other services through a list of removals.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "riseml/internal/v1/removal.pb.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/project.pb.h"
#include "services/api/data/database.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class RemovalStore {
 public:
  explicit RemovalStore(Database& db) : db_(db) {}  // `db` outlives this

  // One transaction. See ExperimentService.DeleteExperiment for the errors.
  absl::Status Delete(const rpc::Call& call, const v1::DeleteExperimentRequest& request);
  // One transaction. See ProjectService.DeleteProject for the errors.
  absl::Status DeleteProject(const rpc::Call& call, const v1::DeleteProjectRequest& request);

  absl::StatusOr<internal::v1::ListRemovalsResponse> List(const internal::v1::ListRemovalsRequest& request);
  absl::Status Report(const internal::v1::ReportRemovedRequest& request);

 private:
  Database& db_;
};

}  // namespace riseml::api
