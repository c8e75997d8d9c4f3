#include "services/loghandler/registry_client.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "riseml/v1/job.pb.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/threads/keep_watching.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/status.h"

namespace riseml::loghandler {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);

}  // namespace

// A call under way: all that gRPC needs until the answer arrives.
template <class Request, class Response>
struct RegistryClient::PendingCall {
  grpc::ClientContext context;
  Request request;
  Response response;
  std::function<void(absl::Status, Response&)> done;
};

RegistryClient::RegistryClient(RegistryOptions options, std::shared_ptr<grpc::Channel> channel, Store& store,
                               const StreamOwners& owners, const Clock& clock)
    : options_(options),
      registry_(internal::v1::LogRegistryService::NewStub(channel)),
      access_(internal::v1::AccessService::NewStub(channel)),
      store_(store),
      owners_(owners),
      clock_(clock),
      tracker_(options.end_marker_grace) {}

void RegistryClient::Enter(grpc::ClientContext* context) {
  MutexLock lock(mu_);
  open_.insert(context);
  if (stopped_) context->TryCancel();  // the call ends at once
}

void RegistryClient::Leave(grpc::ClientContext* context) {
  MutexLock lock(mu_);
  open_.erase(context);
  changed_.notify_all();
}

template <class Request, class Response, class Send>
void RegistryClient::Start(std::shared_ptr<PendingCall<Request, Response>> call, Send send) {
  auto ask = [this, call, send] {
    rpc::Prepare(call->context, kTimeout, NewUuid());
    Enter(&call->context);
    send(call.get(), [this, call](const grpc::Status& status) {
      call->done(rpc::FromGrpc(status), call->response);
      {
        MutexLock lock(mu_);
        --running_;
      }
      StartNext();
      Leave(&call->context);  // the last: Stop may return then
    });
  };
  {
    MutexLock lock(mu_);
    waiting_.push_back(std::move(ask));
  }
  StartNext();
}

void RegistryClient::StartNext() {
  std::function<void()> ask;
  {
    MutexLock lock(mu_);
    if (waiting_.empty() || running_ >= kMaxCalls || stopped_) return;
    ++running_;
    ask = std::move(waiting_.front());
    waiting_.pop_front();
  }
  ask();
}

void RegistryClient::ListStreams(absl::string_view credential, absl::string_view name, Listed done) {
  internal::v1::ListStreamsRequest request;
  request.set_credential(std::string(credential));
  request.set_name(std::string(name));
  ListFrom(std::move(request), nullptr, std::move(done));
}

// Asks for the pages one after the other. `first` holds the pages received so far; null at the start.
void RegistryClient::ListFrom(internal::v1::ListStreamsRequest request,
                              std::shared_ptr<internal::v1::ListStreamsResponse> first, Listed done) {
  auto call = std::make_shared<PendingCall<internal::v1::ListStreamsRequest, internal::v1::ListStreamsResponse>>();
  call->request = request;
  call->done = [this, request = std::move(request), first = std::move(first), done = std::move(done)](
                   const absl::Status& status, internal::v1::ListStreamsResponse& page) mutable {
    if (!status.ok()) return done(status);
    request.set_page_token(page.next_page_token());
    if (first == nullptr) {
      first = std::make_shared<internal::v1::ListStreamsResponse>(std::move(page));
    } else {
      first->mutable_streams()->MergeFrom(page.streams());
    }
    if (request.page_token().empty()) return done(std::move(*first));
    ListFrom(std::move(request), std::move(first), std::move(done));
  };
  Start(call, [this](auto* q, auto then) {
    registry_->async()->ListStreams(&q->context, &q->request, &q->response, std::move(then));
  });
}

void RegistryClient::CheckRead(absl::string_view credential, absl::string_view name, Checked done) {
  auto call = std::make_shared<PendingCall<internal::v1::CheckRequest, internal::v1::CheckResponse>>();
  call->request.set_credential(std::string(credential));
  call->request.set_permission(internal::v1::CheckRequest::READ);
  call->request.set_resource(std::string(name));
  call->done = [done = std::move(done)](const absl::Status& status, internal::v1::CheckResponse&) { done(status); };
  Start(call, [this](auto* q, auto then) {
    access_->async()->Check(&q->context, &q->request, &q->response, std::move(then));
  });
}

void RegistryClient::Start(std::function<void(const std::vector<std::string>&)> on_roots_changed,
                           std::function<void(bool)> on_watching) {
  on_roots_changed_ = std::move(on_roots_changed);
  on_watching_ = std::move(on_watching);
  watcher_ = std::jthread([this](const std::stop_token& stop) { RunWatch(stop); });
  reporter_ = std::jthread([this](std::stop_token stop) { RunReporter(std::move(stop)); });
}

void RegistryClient::RunWatch(const std::stop_token& stop) {
  std::string resume_token;
  KeepWatching(stop, [&] {
    const std::string before = resume_token;
    const grpc::Status status = Watch(&resume_token);
    on_watching_(false);
    if (stop.stop_requested()) return true;
    LogWarning("log_watch_lost", {{"code", static_cast<int>(status.error_code())}, {"error", status.error_message()}});
    // Api rejects the token: start from the beginning.
    if (status.error_code() == grpc::StatusCode::OUT_OF_RANGE ||
        status.error_code() == grpc::StatusCode::INVALID_ARGUMENT)
      resume_token.clear();
    return resume_token != before;
  });
}

grpc::Status RegistryClient::Watch(std::string* resume_token) {
  grpc::ClientContext context;
  rpc::Prepare(context, absl::InfiniteDuration(), NewUuid());
  Enter(&context);
  internal::v1::WatchStreamsRequest request;
  request.set_resume_token(*resume_token);
  const std::unique_ptr<grpc::ClientReader<internal::v1::WatchStreamsResponse>> reader =
      registry_->WatchStreams(&context, request);
  internal::v1::WatchStreamsResponse response;
  bool caught_up = !resume_token->empty();
  while (reader->Read(&response)) {
    Handle(response);
    caught_up = caught_up || response.synced();
    if (!response.resume_token().empty()) *resume_token = response.resume_token();
    if (caught_up) on_watching_(true);
  }
  const grpc::Status status = reader->Finish();
  Leave(&context);
  return status;
}

void RegistryClient::Handle(const internal::v1::WatchStreamsResponse& response) {
  {
    const absl::Time now = clock_.Now();
    MutexLock lock(mu_);
    for (const internal::v1::StreamInfo& info : response.streams()) {
      const StreamId id{info.job_uid(), info.attempt()};
      tracker_.Update(info, now);
      // Its log may have become complete while api was not reachable.
      if (IsValid(id) && info.log_state() != v1::Attempt::COMPLETE) to_report_.insert(id);
    }
    changed_.notify_all();
  }
  const std::vector<std::string> roots(response.changed_roots().begin(), response.changed_roots().end());
  if (!roots.empty()) on_roots_changed_(roots);
}

void RegistryClient::OnDurable(const Stream& stream) {
  if (!stream.state().complete) return;
  MutexLock lock(mu_);
  to_report_.insert(stream.id());
  changed_.notify_all();
}

void RegistryClient::ReportAll() {
  MutexLock lock(mu_);
  for (const StreamId& id : tracker_.All()) to_report_.insert(id);
  changed_.notify_all();
}

void RegistryClient::RunReporter(std::stop_token stop) {
  absl::flat_hash_set<StreamId> failed;
  absl::Time next_sweep = clock_.Now();
  while (true) {
    absl::flat_hash_set<StreamId> todo;
    {
      MutexLock lock(mu_);
      const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !to_report_.empty(); };
      changed_.wait_for(mu_, stop, absl::ToChronoMicroseconds(options_.sweep), some);
      if (stop.stop_requested()) return;
      todo = std::exchange(to_report_, {});
      const absl::Time now = clock_.Now();
      if (now >= next_sweep) {
        next_sweep = now + options_.sweep;
        for (const StreamId& id : tracker_.Overdue(now)) todo.insert(id);
        todo.merge(failed);
        failed.clear();
      }
    }
    for (const StreamId& id : todo) {
      if (stop.stop_requested()) return;
      if (!Report(id)) failed.insert(id);
    }
  }
}

bool RegistryClient::Report(const StreamId& id) {
  if (!owners_.Owns(id)) return true;
  const absl::StatusOr<std::shared_ptr<Stream>> stream = store_.Get(id);
  if (!stream.ok()) {
    LogError("log_unreadable", {{"log", Print(id)}, {"error", stream.status().message()}});
    return true;
  }
  const StreamState state = (*stream)->state();
  if (!state.complete) {
    MutexLock lock(mu_);
    if (!tracker_.IsOverdue(id, clock_.Now())) return true;
  }
  internal::v1::ReportLogEndRequest request;
  request.set_job_uid(id.job_uid);
  request.set_attempt(id.attempt);
  request.set_log_state(state.complete ? v1::Attempt::COMPLETE : v1::Attempt::TRUNCATED);
  request.set_log_bytes(state.durable_offset);
  internal::v1::ReportLogEndResponse response;
  grpc::ClientContext context;
  rpc::Prepare(context, kTimeout, NewUuid());
  Enter(&context);
  const grpc::Status status = registry_->ReportLogEnd(&context, request, &response);
  Leave(&context);
  MutexLock lock(mu_);
  if (status.ok()) {
    LogInfo("log_ended", {{"log", Print(id)},
                          {"state", v1::Attempt::LogState_Name(request.log_state())},
                          {"bytes", state.durable_offset}});
    tracker_.Reported(id);
    return true;
  }
  LogWarning("log_end_not_reported", {{"log", Print(id)}, {"error", status.error_message()}});
  if (status.error_code() != grpc::StatusCode::NOT_FOUND) return false;
  tracker_.Forget(id);
  return true;
}

void RegistryClient::Stop() {
  watcher_.request_stop();
  reporter_.request_stop();
  {
    MutexLock lock(mu_);
    stopped_ = true;
    for (grpc::ClientContext* context : open_) context->TryCancel();
  }
  if (watcher_.joinable()) watcher_.join();
  if (reporter_.joinable()) reporter_.join();
  std::deque<std::function<void()>> never_asked;  // released outside of the lock
  MutexLock lock(mu_);
  never_asked.swap(waiting_);
  changed_.wait(mu_, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return open_.empty(); });
}

}  // namespace riseml::loghandler
