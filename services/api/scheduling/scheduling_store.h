// Stores what the scheduler writes: leadership, placements, observations, nodes. Every write checks the epoch in its
// own transaction.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/scheduling.pb.h"
#include "riseml/v1/node.pb.h"
#include "services/api/data/attempt_tokens.h"
#include "services/api/data/database.h"
#include "services/common/rpc/call.h"

namespace riseml::api {

// Thread-safe.
class SchedulingStore {
 public:
  SchedulingStore(Database& db, const AttemptTokens& tokens) : db_(db), tokens_(tokens) {}  // both outlive this

  absl::StatusOr<std::int64_t> AcquireLeadership(const internal::v1::AcquireLeadershipRequest& request);
  absl::StatusOr<internal::v1::CommitPlanResponse> CommitPlan(const internal::v1::CommitPlanRequest& request);
  absl::Status ReportObservations(const internal::v1::ReportObservationsRequest& request);
  // NOT_FOUND.
  absl::StatusOr<internal::v1::JobTemplate> GetJobTemplate(const std::string& job_uid);
  absl::Status ReportNodes(const internal::v1::ReportNodesRequest& request);

  // Returns the nodes by name, with the resources that live attempts use.
  absl::StatusOr<v1::ListNodesResponse> ListNodes(const v1::ListNodesRequest& request);

 private:
  // Records all observations or none.
  absl::Status Record(const internal::v1::ReportObservationsRequest& request);

  Database& db_;
  const AttemptTokens& tokens_;
};

}  // namespace riseml::api
