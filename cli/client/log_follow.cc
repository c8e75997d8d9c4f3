#include "cli/client/log_follow.h"

#include <memory>
#include <thread>
#include <utility>

#include "cli/client/reconnect_policy.h"
#include "services/common/rpc/status.h"

namespace riseml::cli {
namespace {

constexpr int kTriesToReach = 5;  // an address that another log handler has named
constexpr int kTriesOfOwner = 2;  // then the first log handler is asked who owns the streams now
// To find a new owner takes up to 15 s. An address that has never answered is given up after that.
constexpr absl::Duration kReturnPause = absl::Seconds(1);
constexpr int kMostReturns = 16;

}  // namespace

LogFollow::LogFollow(Connection& connection, std::string address, const v1::FollowRequest& request, FollowEvents events)
    : connection_(connection),
      first_(std::move(address)),
      events_(std::move(events)),
      position_(request),
      routes_(first_),
      to_call_{first_} {}

absl::Status LogFollow::Run(const std::stop_token& stop) {
  std::map<std::string, std::jthread> calls;  // ends them, before anything else here goes
  while (true) {
    std::set<std::string> to_call;
    {
      MutexLock lock(mu_);
      changed_.wait(mu_, stop, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return failed_.has_value() || !to_call_.empty() || open_ == 0;
      });
      if (failed_.has_value()) return *failed_;
      if (stop.stop_requested() || (to_call_.empty() && open_ == 0)) return absl::OkStatus();
      to_call = std::exchange(to_call_, {});
      open_ += static_cast<int>(to_call.size());
    }
    for (const std::string& address : to_call)
      calls[address] = std::jthread([this, address](const std::stop_token& ended) { RunCalls(ended, address); });
  }
}

void LogFollow::RunCalls(const std::stop_token& stop, const std::string& address) {
  const auto stub = v1::LogService::NewStub(connection_.Channel(address));
  ReconnectPolicy reconnects;
  Calls calls{.address = address, .reached = address == first_};
  int tries = 0;
  int losses = 0;  // in a row
  while (!stop.stop_requested()) {
    const absl::Status status = CallOnce(stop, *stub, calls);
    if (stop.stop_requested()) return;
    {
      MutexLock lock(mu_);
      if (call_again_.erase(address) > 0) continue;
    }
    if (calls.news) reconnects.Progress();
    losses = absl::IsUnavailable(status) ? (calls.news ? 1 : losses + 1) : 0;
    if (address != first_ && losses == kTriesOfOwner && MayReturn(address)) {
      events_.sleep(stop, kReturnPause);
      events_.resumed(stop, &calls.broken);
      return ReturnToFirst(address);
    }
    auto wait = status.ok() ? std::nullopt : reconnects.After(status);
    if (!calls.reached && ++tries >= kTriesToReach) wait.reset();
    if (!wait) {
      events_.resumed(stop, &calls.broken);
      return Close(address, status);
    }
    events_.lost(stop, &calls.broken);
    events_.sleep(stop, *wait);
  }
}

absl::Status LogFollow::CallOnce(const std::stop_token& stop, v1::LogService::Stub& stub, Calls& calls) {
  const std::string& address = calls.address;
  grpc::ClientContext context;
  const std::string request_id = connection_.PrepareStream(context);
  // A call that waits drives gRPC's attempt to connect. If it failed at once, nothing would drive the attempt.
  // An owner is not waited for: if it has died, another one takes its place, which the first log handler names.
  context.set_wait_for_ready(calls.broken && address == first_);
  std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  v1::FollowRequest request;
  {
    MutexLock lock(mu_);
    request = position_.Request(/*first=*/!placed_.contains(address));
    routes_.Began(address);
    contexts_[address] = &context;
  }
  calls.news = false;
  const auto reader = stub.Follow(&context, request);
  bool hole = false;
  v1::FollowResponse response;
  while (!hole && reader->Read(&response)) {
    events_.resumed(stop, &calls.broken);
    FollowPosition::Verdict verdict = FollowPosition::Verdict::kRepeat;
    {
      MutexLock lock(mu_);
      placed_.insert(address);
      verdict = position_.Accept(response);
    }
    calls.reached = true;
    if (response.has_owner()) Redirect(address, response.owner());
    hole = verdict == FollowPosition::Verdict::kHole;
    if (verdict != FollowPosition::Verdict::kNew) continue;
    calls.news = true;
    if (response.has_chunk()) {
      MutexLock lock(mu_);
      routes_.Progress(response.chunk().job_uid(), response.chunk().attempt());
    }
    if (!events_.response(stop, response)) break;
  }
  if (hole) context.TryCancel();
  {
    MutexLock lock(mu_);
    contexts_.erase(address);
  }
  absl::Status status = rpc::FromGrpc(reader->Finish());
  if (hole) status = absl::DataLossError("the log service left out a part of the log");
  return WithCall(status, "log service", address, request_id);
}

void LogFollow::Redirect(const std::string& from, const v1::LogOwner& owner) {
  MutexLock lock(mu_);
  const absl::StatusOr<FollowRoutes::Action> action = routes_.Redirect(from, owner);
  if (!action.ok()) {
    failed_ = action.status();
  } else if (*action == FollowRoutes::Action::kCall) {
    routes_.Began(owner.address());
    to_call_.insert(owner.address());
  } else if (*action == FollowRoutes::Action::kCallAgain) {
    call_again_.insert(owner.address());
    if (const auto it = contexts_.find(owner.address()); it != contexts_.end()) it->second->TryCancel();
  }
  changed_.notify_all();
}

bool LogFollow::MayReturn(const std::string& address) {
  MutexLock lock(mu_);
  return placed_.contains(address) || ++returns_[address] <= kMostReturns;
}

void LogFollow::ReturnToFirst(const std::string& address) {
  MutexLock lock(mu_);
  --open_;
  if (routes_.Lost(address) == FollowRoutes::Action::kCall) {
    routes_.Began(first_);
    to_call_.insert(first_);
  } else {
    call_again_.insert(first_);
    if (const auto it = contexts_.find(first_); it != contexts_.end()) it->second->TryCancel();
  }
  changed_.notify_all();
}

void LogFollow::Close(const std::string& address, const absl::Status& status) {
  MutexLock lock(mu_);
  routes_.Ended(address);
  --open_;
  if (!status.ok() && !failed_.has_value()) failed_ = status;
  changed_.notify_all();
}

}  // namespace riseml::cli
