// Cluster of machines that each run `riseml-agent node`.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "riseml/internal/v1/node_agent.grpc.pb.h"
#include "services/common/base/clock.h"
#include "services/scheduler/cluster/cluster.h"
#include "services/scheduler/cluster/cluster_store.h"

namespace riseml::scheduler {

// Watches each node; reconnects 100 ms to 2 s after a watch breaks. Calls take at most 10 s. Thread-safe.
class LocalCluster final : public Cluster {
 public:
  struct Member {
    std::string name;
    std::string address;  // host:port
    std::shared_ptr<grpc::Channel> channel;
  };
  // `clock` outlives this. Watches nothing before Run.
  LocalCluster(std::vector<Member> members, const Clock& clock);
  ~LocalCluster() override { Shutdown(); }

  // Starts the watches.
  void Run();
  // Ends the watches and waits for them. Idempotent.
  void Shutdown();

  ClusterChanges Read(std::int64_t version) override { return store_.Read(version); }
  void SetWake(std::function<void()> wake) override { store_.SetWake(std::move(wake)); }
  std::map<std::string, absl::Time> LastHeard() const override { return store_.LastHeard(); }
  absl::StatusOr<std::vector<std::string>> PrepareGang(const GangRequest& request) override {
    return store_.AddressesOf(request);  // members reach each other at their nodes
  }
  absl::Status Start(const std::string& node, const internal::v1::StartAttemptRequest& request) override;
  absl::Status Stop(const std::string& node, const AttemptId& key, std::int64_t epoch) override;
  absl::Status Forget(const std::string& node, const std::vector<AttemptId>& keys, std::int64_t epoch) override;

 private:
  using Stub = internal::v1::NodeAgentService::Stub;
  absl::StatusOr<Stub*> Find(const std::string& node) const;
  bool Watch(const std::stop_token& stop, const std::string& name, Stub& stub);

  const Clock& clock_;
  ClusterStore store_;
  std::map<std::string, std::unique_ptr<Stub>> stubs_;  // not changed after construction
  std::vector<std::jthread> watches_;
};

}  // namespace riseml::scheduler
