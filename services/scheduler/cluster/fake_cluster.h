// Cluster of FakeNodes in this process, for tests.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/common/base/clock.h"
#include "services/scheduler/cluster/cluster.h"
#include "services/scheduler/cluster/cluster_store.h"
#include "services/scheduler/cluster/fake_node.h"

namespace riseml::scheduler {

// Thread-safe if its clock is.
class FakeCluster final : public Cluster {
 public:
  // `clock` outlives this.
  explicit FakeCluster(const Clock& clock) : clock_(clock) {}

  // Adds a connected, synced node. The caller keeps it too, so that it may outlive this.
  void AddNode(const std::string& name, std::shared_ptr<FakeNode> node, const v1::Node& inventory);
  void Connect(const std::string& name);
  void Disconnect(const std::string& name);
  // Removes the node from the cluster; its attempts are then out of reach.
  void RemoveNode(const std::string& name);
  // Changes the inventory of a connected node.
  void SetInventory(const std::string& name, const v1::Node& inventory);
  void Hear(const std::string& name) { store_->Heard(name, clock_.Now()); }
  // Simulates a new process: nothing is known, connections are made anew, nobody is woken.
  void Restart();

  // Called before and after a call takes effect. An error of `before` is a lost request, of `after` a lost reply.
  std::function<absl::Status(const std::string& call)> before = [](const std::string&) { return absl::OkStatus(); };
  std::function<absl::Status(const std::string& call)> after = [](const std::string&) { return absl::OkStatus(); };

  ClusterChanges Read(std::int64_t version) override { return store_->Read(version); }
  void SetWake(std::function<void()> wake) override { store_->SetWake(std::move(wake)); }
  std::map<std::string, absl::Time> LastHeard() const override { return store_->LastHeard(); }
  absl::StatusOr<std::vector<std::string>> PrepareGang(const GangRequest& request) override;
  absl::Status Start(const std::string& node, const internal::v1::StartAttemptRequest& request) override;
  absl::Status Stop(const std::string& node, const AttemptId& key, std::int64_t epoch) override;
  absl::Status Forget(const std::string& node, const std::vector<AttemptId>& keys, std::int64_t epoch) override;

 private:
  struct Member {
    std::shared_ptr<FakeNode> node;
    v1::Node inventory;
    bool connected = false;
  };
  absl::Status Call(const std::string& call, const std::string& node,
                    const std::function<absl::Status(FakeNode&)>& body);

  const Clock& clock_;
  std::unique_ptr<ClusterStore> store_ = std::make_unique<ClusterStore>();
  std::map<std::string, Member> members_;
};

}  // namespace riseml::scheduler
