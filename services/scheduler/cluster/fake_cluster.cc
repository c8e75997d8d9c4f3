#include "services/scheduler/cluster/fake_cluster.h"

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"

namespace riseml::scheduler {

void FakeCluster::AddNode(const std::string& name, std::shared_ptr<FakeNode> node, const v1::Node& inventory) {
  members_[name] = {std::move(node), inventory, false};
  store_->AddNode(name, "127.0.0.1");
  Connect(name);
}

void FakeCluster::Connect(const std::string& name) {
  Member& member = members_.at(name);
  member.connected = true;
  member.node->SetListener(
      [this, name](const internal::v1::AttemptStatus& status) { store_->PutAttempt(name, status, clock_.Now()); });
  store_->BeginList(name);
  store_->PutNode(name, member.inventory, clock_.Now());
  for (const internal::v1::AttemptStatus& status : member.node->List()) store_->PutAttempt(name, status, clock_.Now());
  store_->FinishList(name, clock_.Now());
}

void FakeCluster::Disconnect(const std::string& name) {
  if (!members_.contains(name)) return;
  Member& member = members_.at(name);
  member.connected = false;
  member.node->SetListener(nullptr);
  store_->Disconnected(name);
}

void FakeCluster::Restart() {
  for (const auto& [name, member] : members_) member.node->SetListener(nullptr);
  store_ = std::make_unique<ClusterStore>();
  for (const auto& [name, member] : members_) {
    store_->AddNode(name, "127.0.0.1");
    if (member.connected) Connect(name);
  }
}

absl::Status FakeCluster::Call(const std::string& call, const std::string& node,
                               const std::function<absl::Status(FakeNode&)>& body) {
  RISEML_RETURN_IF_ERROR(before(call));
  const auto it = members_.find(node);
  if (it == members_.end()) return Error(Reason::kNotFound, absl::StrCat("node ", node, " is not configured"));
  if (!it->second.connected) return Error(Reason::kUnavailable, absl::StrCat("node ", node, " does not answer"));
  RISEML_RETURN_IF_ERROR(body(*it->second.node));
  return after(call);
}

void FakeCluster::RemoveNode(const std::string& name) {
  Disconnect(name);
  members_.erase(name);
  store_->RemoveNode(name);
}

void FakeCluster::SetInventory(const std::string& name, const v1::Node& inventory) {
  members_.at(name).inventory = inventory;
  store_->PutNode(name, inventory, clock_.Now());
}

absl::StatusOr<std::vector<std::string>> FakeCluster::PrepareGang(const GangRequest& request) {
  RISEML_RETURN_IF_ERROR(before("PrepareGang"));
  RISEML_ASSIGN_OR_RETURN(std::vector<std::string> addresses, store_->AddressesOf(request));
  RISEML_RETURN_IF_ERROR(after("PrepareGang"));
  return addresses;
}

absl::Status FakeCluster::Start(const std::string& node, const internal::v1::StartAttemptRequest& request) {
  return Call("Start", node, [&](FakeNode& fake) { return fake.Start(request); });
}

absl::Status FakeCluster::Stop(const std::string& node, const AttemptId& key, std::int64_t epoch) {
  return Call("Stop", node, [&](FakeNode& fake) { return fake.Stop(key, epoch); });
}

absl::Status FakeCluster::Forget(const std::string& node, const std::vector<AttemptId>& keys, std::int64_t epoch) {
  return Call("Forget", node, [&](FakeNode& fake) {
    RISEML_RETURN_IF_ERROR(fake.Forget(keys, epoch));
    store_->Remove(node, keys);
    return absl::OkStatus();
  });
}

}  // namespace riseml::scheduler
