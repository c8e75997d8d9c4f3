// Creates, lists and kills experiments, and stores their results.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "riseml/v1/experiment.pb.h"
#include "riseml/v1/job.pb.h"
#include "services/api/data/database.h"
#include "services/api/data/stored_bytes.h"
#include "services/api/data/views.h"
#include "services/common/rpc/call.h"
#include "services/common/spec/spec.h"

namespace riseml::api {

// Thread-safe.
class ExperimentStore {
 public:
  // Both databases outlive this. Large sets are created through `bulk`, so that they hold up nobody else.
  ExperimentStore(Database& db, Database& bulk, ViewOptions options, UserLimits limits)
      : db_(db), bulk_(bulk), options_(std::move(options)), limits_(limits) {}

  // Input of a creation besides the request.
  struct NewExperiment {
    v1::CreateExperimentRequest request;
    spec::Spec spec;           // of request.config_text, with a train section
    bool needs_build = false;  // the environment was missing when asked
    std::string base_image;    // name and digest of the base image; empty: the jobs are processes
  };
  // Writes experiment, children, all jobs, history, audit and the remembered request in one transaction. LIMIT_EXCEEDED
  // if the owner would have too many experiments, or already keeps as many bytes as allowed.
  absl::StatusOr<v1::Experiment> Create(const rpc::Call& call, const NewExperiment& wanted);

  // Returns the experiment that an earlier request of the same id made, if any.
  absl::StatusOr<std::optional<v1::Experiment>> FindReplay(const rpc::Call& call,
                                                           const v1::CreateExperimentRequest& request);

  // UUIDs of owner and project of a revision, for asking builder. NOT_FOUND when the caller may not use it.
  struct RevisionKey {
    std::string user_uid, project_uid, tree;
  };
  absl::StatusOr<RevisionKey> FindRevision(const rpc::Call& call, const std::string& user, const std::string& project,
                                           const std::string& commit);

  absl::StatusOr<v1::Experiment> Get(const rpc::Call& call, const std::string& name);
  absl::StatusOr<v1::ListExperimentsResponse> List(const rpc::Call& call, const v1::ListExperimentsRequest& request);
  absl::StatusOr<v1::Experiment> Kill(const rpc::Call& call, const v1::KillExperimentRequest& request);
  absl::StatusOr<v1::ListTransitionsResponse> ListTransitions(const rpc::Call& call,
                                                              const v1::ListTransitionsRequest& request);

  absl::StatusOr<v1::Job> GetJob(const rpc::Call& call, const std::string& name);
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const rpc::Call& call, const v1::ListJobsRequest& request);
  absl::Status ReportResults(const rpc::Call& call, const v1::ReportResultsRequest& request);

  const ViewOptions& options() const { return options_; }

 private:
  absl::StatusOr<v1::Experiment> CreateOnce(const rpc::Call& call, const NewExperiment& wanted,
                                            const std::string& hash);
  Database& db_;
  Database& bulk_;
  ViewOptions options_;
  const UserLimits limits_;
};

}  // namespace riseml::api
