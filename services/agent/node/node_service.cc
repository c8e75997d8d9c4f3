#include "services/agent/node/node_service.h"

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "services/agent/node/watch_order.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/pause.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/status.h"
#include "services/common/rpc/stream_writer.h"

namespace riseml::agent {
namespace {

constexpr int kMaxForget = 1000;

AttemptId IdOf(const internal::v1::AttemptStatus& status) { return {status.job_uid(), status.attempt()}; }

std::set<AttemptId> IdsOf(const std::vector<internal::v1::AttemptStatus>& attempts) {
  std::set<AttemptId> ids;
  for (const internal::v1::AttemptStatus& status : attempts) ids.insert(IdOf(status));
  return ids;
}

}  // namespace

// One watch. Sends the inventory, all attempts, `synced`, and then all newer changes; one message at a time.
class NodeService::Watch final : public grpc::ServerWriteReactor<internal::v1::WatchNodeResponse> {
 public:
  explicit Watch(NodeService& service) : service_(service), order_(IdsOf(service.table_.List())) {
    {
      MutexLock lock(mu_);
      writer_.Attach(this);
    }
    subscription_ = service_.table_.Subscribe([this] { Continue(); });
    Continue();
  }

  // Sends a sign of life, since nothing has changed for a while.
  void SayAlive() {
    {
      MutexLock lock(mu_);
      alive_wanted_ = true;
    }
    Continue();
  }

  void Continue() {
    MutexLock lock(mu_);
    if (writer_.writing() || writer_.ending()) return;
    if (NextMessage()) writer_.Write(&message_);
  }

  void Stop() {
    MutexLock lock(mu_);
    writer_.End(rpc::ToGrpc(Error(Reason::kShuttingDown, "the node agent is stopping; watch again")));
  }

  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mu_);
      if (!ok) writer_.End(grpc::Status::CANCELLED);
      writer_.Written();
    }
    Continue();
  }
  void OnCancel() override {
    MutexLock lock(mu_);
    writer_.End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    subscription_.reset();
    {
      MutexLock lock(service_.mu_);
      service_.watches_.erase(this);
    }
    delete this;
  }

 private:
  bool NextMessage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    message_.Clear();
    if (service_.TakeNode(&node_seen_, &message_)) return true;
    const std::optional<AttemptTable::Change> change = service_.table_.NextAfter(seen_);
    const std::optional<AttemptId> changed = change ? std::optional<AttemptId>(IdOf(change->status)) : std::nullopt;
    switch (order_.Next(changed)) {
      case WatchOrder::Message::kSynced:
        message_.set_synced(true);
        return true;
      case WatchOrder::Message::kChange:
        seen_ = change->version;
        *message_.mutable_attempt() = change->status;
        alive_wanted_ = false;
        return true;
      case WatchOrder::Message::kNothing:
        break;
    }
    if (!std::exchange(alive_wanted_, false)) return false;
    message_.set_alive(true);
    return true;
  }

  NodeService& service_;
  std::unique_ptr<AttemptTable::Subscription> subscription_;
  Mutex mu_;
  internal::v1::WatchNodeResponse message_;  // belongs to gRPC while it is written
  std::int64_t seen_ ABSL_GUARDED_BY(mu_) = 0;
  std::int64_t node_seen_ ABSL_GUARDED_BY(mu_) = 0;
  WatchOrder order_ ABSL_GUARDED_BY(mu_);
  bool alive_wanted_ ABSL_GUARDED_BY(mu_) = false;
  rpc::StreamWriter<Watch> writer_ ABSL_GUARDED_BY(mu_);
};

NodeService::NodeService(v1::Node node, AttemptReconciler& reconciler, AttemptTable& table,
                         absl::Duration alive_interval)
    : reconciler_(reconciler),
      table_(table),
      alive_interval_(alive_interval),
      node_(std::move(node)),
      ticker_([this](std::stop_token stop) { Tick(stop); }) {}

NodeService::~NodeService() { StopWatches(); }

void NodeService::Tick(std::stop_token stop) {
  while (Pause(stop, alive_interval_)) {
    MutexLock lock(mu_);
    for (Watch* watch : watches_) watch->SayAlive();
  }
}

void NodeService::SetNode(const v1::Node& node) {
  {
    MutexLock lock(node_mu_);
    node_ = node;
    ++node_version_;
  }
  MutexLock lock(mu_);
  for (Watch* watch : watches_) watch->Continue();
}

bool NodeService::TakeNode(std::int64_t* version, internal::v1::WatchNodeResponse* message) {
  MutexLock lock(node_mu_);
  if (*version == node_version_) return false;
  *version = node_version_;
  *message->mutable_node() = node_;
  return true;
}

void NodeService::StopWatches() {
  MutexLock lock(mu_);
  stopping_ = true;
  for (Watch* watch : watches_) watch->Stop();
}

grpc::Status NodeService::StartAttempt(grpc::ServerContext* context, const internal::v1::StartAttemptRequest* request,
                                       internal::v1::StartAttemptResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.NodeAgentService/StartAttempt",
                    [&](const rpc::Call&) { return reconciler_.StartAttempt(*request); });
}

grpc::Status NodeService::StopAttempt(grpc::ServerContext* context, const internal::v1::StopAttemptRequest* request,
                                      internal::v1::StopAttemptResponse*) {
  return rpc::Unary(context, "riseml.internal.v1.NodeAgentService/StopAttempt", [&](const rpc::Call&) {
    return reconciler_.StopAttempt({request->job_uid(), request->attempt()}, request->epoch());
  });
}

grpc::Status NodeService::ForgetAttempts(grpc::ServerContext* context,
                                         const internal::v1::ForgetAttemptsRequest* request,
                                         internal::v1::ForgetAttemptsResponse*) {
  return rpc::Unary(
      context, "riseml.internal.v1.NodeAgentService/ForgetAttempts", [&](const rpc::Call&) -> absl::Status {
        if (request->attempts_size() > kMaxForget)
          return LimitExceeded(absl::StrCat("at most ", kMaxForget, " attempts can be forgotten in one call"),
                               kMaxForget, request->attempts_size());
        std::vector<AttemptId> ids;
        for (const internal::v1::AttemptRef& ref : request->attempts()) ids.push_back({ref.job_uid(), ref.attempt()});
        return reconciler_.ForgetAttempts(ids, request->epoch());
      });
}

grpc::ServerWriteReactor<internal::v1::WatchNodeResponse>* NodeService::WatchNode(
    grpc::CallbackServerContext*, const internal::v1::WatchNodeRequest*) {
  auto* watch = new Watch(*this);  // deletes itself in OnDone
  MutexLock lock(mu_);
  watches_.insert(watch);
  if (stopping_) watch->Stop();
  return watch;
}

}  // namespace riseml::agent
