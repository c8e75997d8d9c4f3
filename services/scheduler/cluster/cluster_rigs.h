// Clusters of one node for tests: the fake, and the adapter against a node on loopback. Both rigs have the same
// methods.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/clock.h"
#include "services/common/base/mutex.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/server.h"
#include "services/scheduler/cluster/fake_cluster.h"
#include "services/scheduler/cluster/fake_node.h"
#include "services/scheduler/cluster/local_cluster.h"

namespace riseml::scheduler {

inline v1::Node Inventory() {
  v1::Node node;
  node.set_ready(true);
  node.set_cpus(8);
  return node;
}

inline internal::v1::StartAttemptRequest RequestFor(const std::string& uid, int attempt) {
  internal::v1::StartAttemptRequest request;
  request.set_job_uid(uid);
  request.set_attempt(attempt);
  return request;
}

// Wakes up the thread that waits for a change of the cluster. Thread-safe.
class Bell {
 public:
  void Ring() {
    {
      MutexLock lock(mu_);
      ++rings_;
    }
    rung_.notify_all();
  }
  // Returns true as soon as `holds` does, which is called after each ring; false if nothing rings for 20 s.
  bool Await(const std::function<bool()>& holds) {
    while (true) {
      int seen;
      {
        MutexLock lock(mu_);
        seen = rings_;
      }
      if (holds()) return true;
      MutexLock lock(mu_);
      if (!rung_.wait_for(mu_, std::chrono::seconds(20), [&] { return rings_ != seen; })) return false;
    }
  }

 private:
  Mutex mu_;
  std::condition_variable_any rung_;
  int rings_ = 0;
};

// Serves a FakeNode as a NodeAgentService.
class NodeAgent final : public internal::v1::NodeAgentService::Service {
 public:
  explicit NodeAgent(FakeNode& node) : node_(node) {
    node_.SetListener([this](const internal::v1::AttemptStatus& status) {
      MutexLock lock(mu_);
      changes_.push_back(status);
      changed_.notify_all();
    });
  }
  ~NodeAgent() override { node_.SetListener(nullptr); }
  void SetInventory(const v1::Node& inventory) {
    MutexLock lock(mu_);
    inventory_ = inventory;
    changed_.notify_all();
  }
  void Stop() {
    MutexLock lock(mu_);
    stopped_ = true;
    changed_.notify_all();
  }

  grpc::Status StartAttempt(grpc::ServerContext* context, const internal::v1::StartAttemptRequest* request,
                            internal::v1::StartAttemptResponse*) override {
    return rpc::Unary(context, "StartAttempt", [&](const rpc::Call&) { return node_.Start(*request); });
  }
  grpc::Status StopAttempt(grpc::ServerContext* context, const internal::v1::StopAttemptRequest* request,
                           internal::v1::StopAttemptResponse*) override {
    return rpc::Unary(context, "StopAttempt", [&](const rpc::Call&) {
      return node_.Stop({request->job_uid(), request->attempt()}, request->epoch());
    });
  }
  grpc::Status ForgetAttempts(grpc::ServerContext* context, const internal::v1::ForgetAttemptsRequest* request,
                              internal::v1::ForgetAttemptsResponse*) override {
    return rpc::Unary(context, "ForgetAttempts", [&](const rpc::Call&) {
      std::vector<AttemptId> keys;
      for (const auto& ref : request->attempts()) keys.push_back({ref.job_uid(), ref.attempt()});
      return node_.Forget(keys, request->epoch());
    });
  }
  grpc::Status WatchNode(grpc::ServerContext*, const internal::v1::WatchNodeRequest*,
                         grpc::ServerWriter<internal::v1::WatchNodeResponse>* writer) override {
    {
      MutexLock lock(mu_);
      changes_.clear();
    }
    internal::v1::WatchNodeResponse response;
    *response.mutable_node() = Inventory();
    writer->Write(response);
    for (const internal::v1::AttemptStatus& status : node_.List()) {
      *response.mutable_attempt() = status;
      writer->Write(response);
    }
    response.set_synced(true);
    writer->Write(response);
    while (true) {
      {
        MutexLock lock(mu_);
        changed_.wait(mu_, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
          return stopped_ || inventory_.has_value() || !changes_.empty();
        });
        if (stopped_) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
        if (inventory_) {
          *response.mutable_node() = *std::exchange(inventory_, std::nullopt);
        } else {
          *response.mutable_attempt() = changes_.front();
          changes_.pop_front();
        }
      }
      if (!writer->Write(response)) return grpc::Status::OK;
    }
  }

 private:
  FakeNode& node_;
  Mutex mu_;
  std::condition_variable_any changed_;
  std::deque<internal::v1::AttemptStatus> changes_ ABSL_GUARDED_BY(mu_);
  std::optional<v1::Node> inventory_ ABSL_GUARDED_BY(mu_);  // not sent yet
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

// FakeCluster of one node "local".
class FakeClusterRig {
 public:
  FakeClusterRig() {
    cluster_.SetWake([this] { bell.Ring(); });
    cluster_.AddNode("local", node, Inventory());
  }
  ~FakeClusterRig() { cluster_.Disconnect("local"); }
  Cluster& cluster() { return cluster_; }
  void Disconnect() { cluster_.Disconnect("local"); }
  void Connect() { cluster_.Connect("local"); }
  void SetInventory(const v1::Node& node) { cluster_.SetInventory("local", node); }

  Bell bell;
  std::shared_ptr<FakeNode> node = std::make_shared<FakeNode>();

 private:
  FakeClock clock_;
  FakeCluster cluster_{clock_};
};

// LocalCluster of one node "local", which it reaches over TLS on loopback.
class LocalClusterRig {
 public:
  LocalClusterRig() {
    char pattern[] = "/tmp/riseml-cluster-XXXXXX";
    dir_ = mkdtemp(pattern);
    EXPECT_TRUE(rpc::WriteCertificates(dir_, {"scheduler", "agent"}, clock_.Now()).ok());
    Connect();
    config::v1::ClientTls tls;
    tls.set_ca_file(dir_ + "/ca.crt");
    tls.set_certificate_file(dir_ + "/scheduler.crt");
    tls.set_key_file(dir_ + "/scheduler.key");
    const std::string address = absl::StrCat("127.0.0.1:", port_);
    cluster_ = std::make_unique<LocalCluster>(
        std::vector<LocalCluster::Member>{{"local", address, *rpc::ServiceChannel(address, tls)}}, clock_);
    cluster_->SetWake([this] { bell.Ring(); });
    cluster_->Run();
  }
  ~LocalClusterRig() {
    cluster_->Shutdown();
    Disconnect();
    std::filesystem::remove_all(dir_);
  }
  Cluster& cluster() { return *cluster_; }
  void Disconnect() {
    if (agent_) agent_->Stop();
    server_.reset();
    agent_.reset();
  }
  void Connect() {
    agent_ = std::make_unique<NodeAgent>(*node);
    rpc::ServerOptions options;
    options.kind = rpc::ListenerKind::kInternal;
    options.listener.set_address(absl::StrCat("127.0.0.1:", port_));
    options.listener.set_certificate_file(dir_ + "/agent.crt");
    options.listener.set_key_file(dir_ + "/agent.key");
    options.listener.set_client_ca_file(dir_ + "/ca.crt");
    options.services = {agent_.get()};
    auto server = rpc::Server::Start(std::move(options));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    port_ = server_->port();
  }

  void SetInventory(const v1::Node& inventory) { agent_->SetInventory(inventory); }

  Bell bell;
  std::shared_ptr<FakeNode> node = std::make_shared<FakeNode>();

 private:
  const SystemClock clock_;
  std::string dir_;
  int port_ = 0;
  std::unique_ptr<NodeAgent> agent_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<LocalCluster> cluster_;
};

}  // namespace riseml::scheduler
