// Api over gRPC, and Environments over gRPC.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "riseml/internal/v1/builder.grpc.pb.h"
#include "riseml/internal/v1/scheduling.grpc.pb.h"
#include "services/common/base/mutex.h"
#include "services/scheduler/controller/api/api.h"
#include "services/scheduler/controller/environments.h"

namespace riseml::scheduler {

// One thread watches the work. It resumes a broken watch 100 ms to 2 s later, or starts over if api cannot resume it.
// At most 256 batches wait to be taken; then the watch pauses. Thread-safe.
class GrpcApi final : public Api {
 public:
  explicit GrpcApi(const std::shared_ptr<grpc::Channel>& channel);
  ~GrpcApi() override { Shutdown(); }
  // Ends the watch. Idempotent.
  void Shutdown();

  absl::StatusOr<std::int64_t> AcquireLeadership(const std::string& holder, absl::Duration lease,
                                                 std::int64_t epoch) override;
  absl::StatusOr<internal::v1::CommitPlanResponse> CommitPlan(const internal::v1::CommitPlanRequest& request) override;
  absl::Status ReportObservations(const internal::v1::ReportObservationsRequest& request) override;
  absl::Status ReportNodes(const internal::v1::ReportNodesRequest& request) override;
  absl::StatusOr<internal::v1::JobTemplate> GetTemplate(const std::string& job_uid) override;
  void RestartWatch() override;
  std::optional<WorkBatch> TakeWork() override;
  void SetWake(std::function<void()> wake) override;

 private:
  void Watch(const std::stop_token& stop);
  // Runs one stream of a watch that begins at `token`, and advances the token. True if api answered.
  bool WatchOnce(const std::stop_token& stop, std::int64_t watch, std::string* token);
  bool Push(const std::stop_token& stop, std::int64_t watch, WorkBatch batch);
  std::int64_t WaitForWatch(const std::stop_token& stop);

  const std::unique_ptr<internal::v1::SchedulingService::Stub> stub_;
  Mutex mu_;
  std::condition_variable_any changed_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mu_);
  std::int64_t watch_ ABSL_GUARDED_BY(mu_) = 0;  // number of the watch wanted; 0: none
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::deque<WorkBatch> batches_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;  // last: stops before the rest goes
};

class GrpcEnvironments final : public Environments {
 public:
  explicit GrpcEnvironments(const std::shared_ptr<grpc::Channel>& channel, absl::Duration limit = absl::Seconds(3));
  absl::StatusOr<internal::v1::Environment> Resolve(const internal::v1::ResolveEnvironmentRequest& request) override;
  absl::StatusOr<internal::v1::ContainerImage> MakeImage(const internal::v1::MakeImageRequest& request) override;

 private:
  const std::unique_ptr<internal::v1::BuilderService::Stub> stub_;
  const absl::Duration limit_;  // of Resolve
};

}  // namespace riseml::scheduler
