#include "services/scheduler/cluster/local_cluster.h"

#include "absl/strings/str_cat.h"
#include "services/common/base/id.h"
#include "services/common/base/log.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/common/base/threads/keep_watching.h"
#include "services/common/rpc/channel.h"

namespace riseml::scheduler {
namespace {

constexpr absl::Duration kCallLimit = absl::Seconds(10);

std::string HostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

}  // namespace

LocalCluster::LocalCluster(std::vector<Member> members, const Clock& clock) : clock_(clock) {
  for (const Member& member : members) {
    stubs_.emplace(member.name, internal::v1::NodeAgentService::NewStub(member.channel));
    store_.AddNode(member.name, HostOf(member.address));
  }
}

void LocalCluster::Run() {
  for (const auto& [name, stub] : stubs_)
    watches_.emplace_back([this, &name = name, stub = stub.get()](const std::stop_token& stop) {
      KeepWatching(stop, [&] { return Watch(stop, name, *stub); });
    });
}

void LocalCluster::Shutdown() {
  for (std::jthread& watch : watches_) watch.request_stop();
  watches_.clear();
}

// True when the node answered.
bool LocalCluster::Watch(const std::stop_token& stop, const std::string& name, Stub& stub) {
  grpc::ClientContext context;
  rpc::Prepare(context, absl::InfiniteDuration(), NewUuid());
  const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
  const auto reader = stub.WatchNode(&context, internal::v1::WatchNodeRequest());
  store_.BeginList(name);
  bool answered = false;
  internal::v1::WatchNodeResponse response;
  while (reader->Read(&response)) {
    if (!answered) LogInfo("node_connected", {{"node", name}});
    answered = true;
    switch (response.event_case()) {
      case internal::v1::WatchNodeResponse::kNode:
        store_.PutNode(name, response.node(), clock_.Now());
        break;
      case internal::v1::WatchNodeResponse::kAttempt:
        store_.PutAttempt(name, response.attempt(), clock_.Now());
        break;
      case internal::v1::WatchNodeResponse::kSynced:
        store_.FinishList(name, clock_.Now());
        break;
      default:
        store_.Heard(name, clock_.Now());
    }
  }
  const grpc::Status status = reader->Finish();
  store_.Disconnected(name);
  if (answered && !stop.stop_requested())
    LogWarning("node_disconnected", {{"node", name}, {"error", status.error_message()}});
  return answered;
}

absl::StatusOr<LocalCluster::Stub*> LocalCluster::Find(const std::string& node) const {
  const auto it = stubs_.find(node);
  if (it == stubs_.end())
    return Error(Reason::kNotFound,
                 absl::StrCat("node ", node, " is not configured; add it to `nodes` of the scheduler's configuration"));
  return it->second.get();
}

absl::Status LocalCluster::Start(const std::string& node, const internal::v1::StartAttemptRequest& request) {
  RISEML_ASSIGN_OR_RETURN(Stub* const stub, Find(node));
  const auto response = rpc::Invoke<internal::v1::StartAttemptResponse>(
      [&](auto* context, auto* answer) { return stub->StartAttempt(context, request, answer); },
      {.timeout = kCallLimit, .tries = 1});
  return While(absl::StrCat("start attempt ", request.attempt(), " on node ", node), response.status());
}

absl::Status LocalCluster::Stop(const std::string& node, const AttemptId& key, std::int64_t epoch) {
  RISEML_ASSIGN_OR_RETURN(Stub* const stub, Find(node));
  internal::v1::StopAttemptRequest request;
  request.set_job_uid(key.job_uid);
  request.set_attempt(key.attempt);
  request.set_epoch(epoch);
  const auto response = rpc::Invoke<internal::v1::StopAttemptResponse>(
      [&](auto* context, auto* answer) { return stub->StopAttempt(context, request, answer); },
      {.timeout = kCallLimit, .tries = 1});
  return While(absl::StrCat("stop attempt ", key.attempt, " on node ", node), response.status());
}

absl::Status LocalCluster::Forget(const std::string& node, const std::vector<AttemptId>& keys, std::int64_t epoch) {
  RISEML_ASSIGN_OR_RETURN(Stub* const stub, Find(node));
  internal::v1::ForgetAttemptsRequest request;
  request.set_epoch(epoch);
  for (const AttemptId& key : keys) {
    internal::v1::AttemptRef* ref = request.add_attempts();
    ref->set_job_uid(key.job_uid);
    ref->set_attempt(key.attempt);
  }
  const auto response = rpc::Invoke<internal::v1::ForgetAttemptsResponse>(
      [&](auto* context, auto* answer) { return stub->ForgetAttempts(context, request, answer); },
      {.timeout = kCallLimit, .tries = 1});
  RISEML_RETURN_IF_ERROR(While(absl::StrCat("forget attempts on node ", node), response.status()));
  store_.Remove(node, keys);
  return absl::OkStatus();
}

}  // namespace riseml::scheduler
