#include "services/scheduler/controller/api/grpc_api.h"

#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/keep_watching.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/proto_time.h"
#include "services/common/rpc/status.h"

namespace riseml::scheduler {
namespace {

constexpr std::size_t kMaxBatches = 256;
constexpr absl::Duration kImageTimeout = absl::Seconds(60);
// One try: the controller decides what to do after an error, because the world may have changed.
const rpc::CallOptions kOneTry = {.timeout = absl::Seconds(10), .tries = 1};

}  // namespace

GrpcApi::GrpcApi(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(internal::v1::SchedulingService::NewStub(channel)),
      thread_([this](const std::stop_token& stop) { Watch(stop); }) {}

void GrpcApi::Shutdown() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<std::int64_t> GrpcApi::AcquireLeadership(const std::string& holder, absl::Duration lease,
                                                        std::int64_t epoch) {
  internal::v1::AcquireLeadershipRequest request;
  request.set_holder(holder);
  *request.mutable_lease() = ToProtoDuration(lease);
  request.set_epoch(epoch);
  RISEML_ASSIGN_OR_RETURN(const auto response,
                          rpc::Invoke<internal::v1::AcquireLeadershipResponse>(
                              [&](auto* c, auto* r) { return stub_->AcquireLeadership(c, request, r); }, kOneTry));
  return response.epoch();
}

absl::StatusOr<internal::v1::CommitPlanResponse> GrpcApi::CommitPlan(const internal::v1::CommitPlanRequest& request) {
  return rpc::Invoke<internal::v1::CommitPlanResponse>(
      [&](auto* c, auto* r) { return stub_->CommitPlan(c, request, r); }, kOneTry);
}

absl::Status GrpcApi::ReportObservations(const internal::v1::ReportObservationsRequest& request) {
  return rpc::Invoke<internal::v1::ReportObservationsResponse>(
             [&](auto* c, auto* r) { return stub_->ReportObservations(c, request, r); }, kOneTry)
      .status();
}

absl::Status GrpcApi::ReportNodes(const internal::v1::ReportNodesRequest& request) {
  return rpc::Invoke<internal::v1::ReportNodesResponse>(
             [&](auto* c, auto* r) { return stub_->ReportNodes(c, request, r); }, kOneTry)
      .status();
}

absl::StatusOr<internal::v1::JobTemplate> GrpcApi::GetTemplate(const std::string& job_uid) {
  internal::v1::GetJobTemplateRequest request;
  request.set_job_uid(job_uid);
  RISEML_ASSIGN_OR_RETURN(auto response,
                          rpc::Invoke<internal::v1::GetJobTemplateResponse>(
                              [&](auto* c, auto* r) { return stub_->GetJobTemplate(c, request, r); }, kOneTry));
  return std::move(*response.mutable_template_());
}

void GrpcApi::SetWake(std::function<void()> wake) {
  MutexLock lock(mu_);
  wake_ = std::move(wake);
}

void GrpcApi::RestartWatch() {
  {
    MutexLock lock(mu_);
    ++watch_;
    batches_.clear();
    if (context_ != nullptr) context_->TryCancel();
  }
  changed_.notify_all();
}

std::optional<WorkBatch> GrpcApi::TakeWork() {
  std::optional<WorkBatch> batch;
  {
    MutexLock lock(mu_);
    if (batches_.empty()) return std::nullopt;
    batch = std::move(batches_.front());
    batches_.pop_front();
  }
  changed_.notify_all();
  return batch;
}

// Returns the number of the wanted watch; 0 when the thread is to stop.
std::int64_t GrpcApi::WaitForWatch(const std::stop_token& stop) {
  MutexLock lock(mu_);
  const auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return watch_ != 0; };
  return changed_.wait(mu_, stop, wanted) ? watch_ : 0;
}

void GrpcApi::Watch(const std::stop_token& stop) {
  std::int64_t watch = 0;
  std::string token;
  KeepWatching(stop, [&] {
    bool answered = false;
    while (true) {
      const std::int64_t wanted = WaitForWatch(stop);
      if (wanted != watch) token.clear();
      watch = wanted;
      if (watch != 0) answered = WatchOnce(stop, watch, &token);
      MutexLock lock(mu_);
      if (watch == 0 || watch_ == watch) return answered;  // otherwise the stream ended because another watch is wanted
    }
  });
}

bool GrpcApi::WatchOnce(const std::stop_token& stop, std::int64_t watch, std::string* token) {
  grpc::ClientContext context;
  rpc::Prepare(context, absl::InfiniteDuration(), NewUuid());
  {
    MutexLock lock(mu_);
    if (watch_ != watch) return false;
    context_ = &context;
  }
  internal::v1::WatchWorkRequest request;
  request.set_resume_token(*token);
  bool from_start = token->empty();
  bool answered = false;
  grpc::Status status;
  {
    const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
    const auto reader = stub_->WatchWork(&context, request);
    internal::v1::WatchWorkResponse response;
    while (reader->Read(&response)) {
      answered = true;
      WorkBatch batch{.from_start = std::exchange(from_start, false), .synced = response.synced()};
      batch.work.assign(response.work().begin(), response.work().end());
      if (!Push(stop, watch, std::move(batch))) context.TryCancel();
      if (!response.resume_token().empty()) *token = response.resume_token();
    }
    status = reader->Finish();
  }
  {
    MutexLock lock(mu_);
    context_ = nullptr;
  }
  const absl::Status error = rpc::FromGrpc(status);
  if (HasReason(error, Reason::kResumeTokenExpired)) token->clear();
  if (!error.ok() && error.code() != absl::StatusCode::kCancelled)
    LogWarning("work_watch_broken", {{"error", error.message()}});
  return answered;
}

// Waits for room. Returns false if nobody wants the batch any more.
bool GrpcApi::Push(const std::stop_token& stop, std::int64_t watch, WorkBatch batch) {
  std::function<void()> wake;
  {
    MutexLock lock(mu_);
    const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return watch_ != watch || batches_.size() < kMaxBatches;
    };
    if (!changed_.wait(mu_, stop, ready) || watch_ != watch) return false;
    batches_.push_back(std::move(batch));
    wake = wake_;
  }
  if (wake) wake();
  return true;
}

GrpcEnvironments::GrpcEnvironments(const std::shared_ptr<grpc::Channel>& channel, absl::Duration limit)
    : stub_(internal::v1::BuilderService::NewStub(channel)), limit_(limit) {}

absl::StatusOr<internal::v1::Environment> GrpcEnvironments::Resolve(
    const internal::v1::ResolveEnvironmentRequest& request) {
  return rpc::Invoke<internal::v1::Environment>(
      [&](auto* c, auto* r) { return stub_->ResolveEnvironment(c, request, r); }, {.timeout = limit_, .tries = 1});
}

absl::StatusOr<internal::v1::ContainerImage> GrpcEnvironments::MakeImage(
    const internal::v1::MakeImageRequest& request) {
  return rpc::Invoke<internal::v1::ContainerImage>([&](auto* c, auto* r) { return stub_->MakeImage(c, request, r); },
                                                   {.timeout = kImageTimeout, .tries = 1});
}

}  // namespace riseml::scheduler
