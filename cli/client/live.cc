#include "cli/client/live.h"

#include <chrono>
#include <utility>

#include "cli/client/log_follow.h"
#include "cli/client/reconnect_policy.h"
#include "services/common/base/status.h"
#include "services/common/rpc/status.h"

namespace riseml::cli {
namespace {

constexpr std::size_t kMaxEvents = 32;  // a chunk is at most 256 KiB: 8 MiB

}  // namespace

Live::Live(Connection& connection, Interrupts& interrupts) : connection_(connection), interrupts_(interrupts) {
  interrupts_.Listen([this] {
    {
      MutexLock lock(mu_);
      events_.push_front(Interrupted{});
    }
    changed_.notify_all();
  });
}

Live::~Live() { interrupts_.Listen({}); }

void Live::Watch(const v1::WatchExperimentRequest& request) {
  watch_ = std::jthread([this, request](std::stop_token stop) { RunWatch(std::move(stop), request); });
}

void Live::Follow(const std::string& address, const v1::FollowRequest& request) {
  follow_ = std::jthread([this, address, request](const std::stop_token& stop) { RunFollow(stop, address, request); });
}

std::optional<LiveEvent> Live::Next(absl::Duration timeout) {
  std::optional<LiveEvent> event;
  {
    MutexLock lock(mu_);
    const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !events_.empty(); };
    if (!changed_.wait_for(mu_, absl::ToChronoMilliseconds(timeout), some)) return std::nullopt;
    event = std::move(events_.front());
    events_.pop_front();
  }
  changed_.notify_all();
  return event;
}

bool Live::Push(std::stop_token stop, LiveEvent event) {
  {
    MutexLock lock(mu_);
    const auto room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return events_.size() < kMaxEvents; };
    if (!changed_.wait(mu_, stop, room)) return false;
    events_.push_back(std::move(event));
  }
  changed_.notify_all();
  return true;
}

void Live::Sleep(std::stop_token stop, absl::Duration duration) {
  MutexLock lock(mu_);
  changed_.wait_for(mu_, stop, absl::ToChronoMilliseconds(duration), [] { return false; });
}

// Reports one loss and one resumption, since both streams usually break together.
void Live::Break(std::stop_token stop, bool* broken) {
  if (*broken) return;
  *broken = true;
  {
    MutexLock lock(mu_);
    if (++broken_ > 1) return;
  }
  Push(std::move(stop), ConnectionLost{});
}

void Live::Mend(std::stop_token stop, bool* broken) {
  if (!*broken) return;
  *broken = false;
  {
    MutexLock lock(mu_);
    if (--broken_ > 0) return;
  }
  Push(std::move(stop), ConnectionResumed{});
}

void Live::RunWatch(std::stop_token stop, v1::WatchExperimentRequest request) {
  ReconnectPolicy reconnects;
  bool broken = false;
  while (!stop.stop_requested()) {
    grpc::ClientContext context;
    const std::string request_id = connection_.PrepareStream(context);
    // A waiting call drives the connection attempt. If the call failed at once, nothing would drive the attempt.
    context.set_wait_for_ready(broken);
    std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
    const auto reader = connection_.experiments().WatchExperiment(&context, request);
    v1::WatchExperimentResponse response;
    while (reader->Read(&response)) {
      reconnects.Progress();
      Mend(stop, &broken);
      if (!response.resume_token().empty()) request.set_resume_token(response.resume_token());
      if (response.change_case() == v1::WatchExperimentResponse::CHANGE_NOT_SET) continue;
      if (!Push(stop, response)) context.TryCancel();
    }
    const absl::Status status = rpc::FromGrpc(reader->Finish());
    if (stop.stop_requested()) return;
    if (HasReason(status, Reason::kResumeTokenExpired)) {
      request.clear_resume_token();
      continue;
    }
    const auto wait = status.ok() ? std::nullopt : reconnects.After(status);
    if (!wait) {
      Mend(stop, &broken);
      Push(stop, WatchEnded{WithCall(status, "API", connection_.config().api_address, request_id)});
      return;
    }
    Break(stop, &broken);
    Sleep(stop, *wait);
  }
}

void Live::RunFollow(const std::stop_token& stop, const std::string& address, const v1::FollowRequest& request) {
  FollowEvents events;
  events.response = [this](const std::stop_token& ended, const v1::FollowResponse& response) {
    return Push(ended, response);
  };
  events.lost = [this](const std::stop_token& ended, bool* broken) { Break(ended, broken); };
  events.resumed = [this](const std::stop_token& ended, bool* broken) { Mend(ended, broken); };
  events.sleep = [this](const std::stop_token& ended, absl::Duration duration) { Sleep(ended, duration); };
  LogFollow follow(connection_, address, request, std::move(events));
  const absl::Status status = follow.Run(stop);
  if (!stop.stop_requested()) Push(stop, FollowEnded{status});
}

}  // namespace riseml::cli
