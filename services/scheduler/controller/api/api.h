// Port to api: what the scheduler reads and writes there.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "riseml/internal/v1/scheduling.pb.h"

namespace riseml::scheduler {

// Jobs that are new or changed, in the order api sent them.
struct WorkBatch {
  bool from_start = false;  // the first batch of a list of everything: jobs not listed until `synced` are gone
  bool synced = false;      // everything that existed has been listed
  std::vector<internal::v1::Work> work;
};

// Calls block for 10 s at most. One thread calls, except for GetTemplate, which is thread-safe. Writes with an old
// epoch change nothing and fail with NOT_LEADER.
class Api {
 public:
  virtual ~Api() = default;

  // Takes the leadership, or renews it if `epoch` is the present one. Returns its epoch; NOT_LEADER if another leads.
  virtual absl::StatusOr<std::int64_t> AcquireLeadership(const std::string& holder, absl::Duration lease,
                                                         std::int64_t epoch) = 0;
  virtual absl::StatusOr<internal::v1::CommitPlanResponse> CommitPlan(
      const internal::v1::CommitPlanRequest& request) = 0;
  virtual absl::Status ReportObservations(const internal::v1::ReportObservationsRequest& request) = 0;
  virtual absl::Status ReportNodes(const internal::v1::ReportNodesRequest& request) = 0;

  // Returns what a node needs to start the job. NOT_FOUND.
  virtual absl::StatusOr<internal::v1::JobTemplate> GetTemplate(const std::string& job_uid) = 0;

  // Watches all work from the start; batches of an earlier watch do not appear any more.
  virtual void RestartWatch() = 0;
  // The next batch; nullopt when there is none at present.
  virtual std::optional<WorkBatch> TakeWork() = 0;
  // `wake` is called, on any thread, when a batch has come; it must not block. Called once, before RestartWatch.
  virtual void SetWake(std::function<void()> wake) = 0;
};

}  // namespace riseml::scheduler
