// What every Cluster promises: on the fake, and on the adapter against NodeAgentService over TLS on loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/base/clock.h"
#include "services/common/base/status.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/certificates.h"
#include "services/common/rpc/channel.h"
#include "services/common/rpc/server.h"
#include "services/scheduler/cluster/fake_cluster.h"
#include "services/scheduler/cluster/fake_node.h"
#include "services/scheduler/cluster/local_cluster.h"

namespace riseml::scheduler {
namespace {

using internal::v1::AttemptStatus;
using testing::IsEmpty;

v1::Node Inventory() {
  v1::Node node;
  node.set_ready(true);
  node.set_cpus(8);
  return node;
}

internal::v1::StartAttemptRequest RequestFor(const std::string& uid, int attempt) {
  internal::v1::StartAttemptRequest request;
  request.set_job_uid(uid);
  request.set_attempt(attempt);
  return request;
}

// Wakes up whoever waits for a change of the cluster.
class Bell {
 public:
  void Ring() {
    {
      MutexLock lock(mu_);
      ++rings_;
    }
    rung_.notify_all();
  }
  // True as soon as `holds`, which is asked after each ring; false when nothing rings for 20 s.
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

// NodeAgentService in front of a FakeNode.
class NodeAgent final : public internal::v1::NodeAgentService::Service {
 public:
  explicit NodeAgent(FakeNode& node) : node_(node) {
    node_.SetListener([this](const AttemptStatus& status) {
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
      std::vector<AttemptKey> keys;
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
    for (const AttemptStatus& status : node_.List()) {
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
  std::deque<AttemptStatus> changes_ ABSL_GUARDED_BY(mu_);
  std::optional<v1::Node> inventory_ ABSL_GUARDED_BY(mu_);  // not sent yet
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

class FakeFixture {
 public:
  FakeFixture() {
    cluster_.SetWake([this] { bell.Ring(); });
    cluster_.AddNode("local", node, Inventory());
  }
  ~FakeFixture() { cluster_.Disconnect("local"); }
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

class LocalFixture {
 public:
  LocalFixture() {
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
  ~LocalFixture() {
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

template <class Fixture>
class ClusterContract : public testing::Test {
 protected:
  void SetUp() override { AwaitSynced(true); }

  void AwaitSynced(bool synced) {
    ASSERT_TRUE(f_.bell.Await([&] {
      const auto nodes = f_.cluster().Read(0).nodes;
      return nodes.size() == 1 && nodes[0].synced == synced;
    }));
  }
  // Phase of an attempt; UNSPECIFIED when there is none.
  AttemptStatus::Phase PhaseOf(const AttemptKey& key) {
    for (const AttemptOnNode& attempt : f_.cluster().Read(0).attempts)
      if (attempt.key() == key) return attempt.status.phase();
    return AttemptStatus::PHASE_UNSPECIFIED;
  }
  void AwaitPhase(const AttemptKey& key, AttemptStatus::Phase phase) {
    ASSERT_TRUE(f_.bell.Await([&] { return PhaseOf(key) == phase; })) << AttemptStatus::Phase_Name(PhaseOf(key));
  }
  void Start(const AttemptKey& key) {
    const absl::Status status = f_.cluster().Start("local", RequestFor(key.job_uid, key.attempt));
    ASSERT_TRUE(status.ok()) << status;
  }

  Fixture f_;
  const AttemptKey a_{"a", 1};
};

using Fixtures = testing::Types<FakeFixture, LocalFixture>;
TYPED_TEST_SUITE(ClusterContract, Fixtures);

TYPED_TEST(ClusterContract, NodesAreListedWithInventoryAndAddress) {
  const ClusterChanges all = this->f_.cluster().Read(0);
  EXPECT_TRUE(all.complete);
  ASSERT_EQ(all.nodes.size(), 1u);
  EXPECT_EQ(all.nodes[0].name, "local");
  EXPECT_EQ(all.nodes[0].address, "127.0.0.1");
  EXPECT_EQ(all.nodes[0].node.cpus(), 8);
  EXPECT_GT(this->f_.cluster().LastHeard().at("local"), absl::InfinitePast());
}

TYPED_TEST(ClusterContract, ForeignUsageAndCordonAreSeen) {
  v1::Node node = Inventory();
  node.set_cordoned(true);
  node.set_foreign_cpus(2);
  node.set_foreign_memory_bytes(1000);
  node.add_gpus()->set_foreign(true);
  this->f_.SetInventory(node);
  ASSERT_TRUE(this->f_.bell.Await([&] {
    const ClusterChanges all = this->f_.cluster().Read(0);
    return all.nodes.size() == 1 && all.nodes[0].node.cordoned();
  }));
  const v1::Node seen = this->f_.cluster().Read(0).nodes[0].node;
  EXPECT_EQ(seen.foreign_cpus(), 2);
  EXPECT_EQ(seen.foreign_memory_bytes(), 1000);
  EXPECT_TRUE(seen.gpus(0).foreign());
}

TYPED_TEST(ClusterContract, UidAndDriftOfTheObjectAreSeen) {
  this->Start(this->a_);
  this->f_.node->Drift(this->a_, "its image was changed");
  ASSERT_TRUE(this->f_.bell.Await([&] {
    const ClusterChanges all = this->f_.cluster().Read(0);
    return all.attempts.size() == 1 && all.attempts[0].status.drift() == "its image was changed";
  }));
  EXPECT_FALSE(this->f_.cluster().Read(0).attempts[0].status.object_uid().empty());
}

TYPED_TEST(ClusterContract, MembersOfAGangGetAddressesInTheirOrder) {
  const GangRequest gang{.experiment_uid = "e",
                         .gang = "g",
                         .epoch = 1,
                         .members = {{{"a", 1}, "worker", 0, "local"}, {{"b", 1}, "worker", 1, "local"}}};
  for (int i = 0; i < 2; ++i) {  // idempotent
    const auto addresses = this->f_.cluster().PrepareGang(gang);
    ASSERT_TRUE(addresses.ok()) << addresses.status();
    EXPECT_THAT(*addresses, testing::ElementsAre("127.0.0.1", "127.0.0.1"));
  }
  GangRequest elsewhere = gang;
  elsewhere.members[1].node = "nowhere";
  EXPECT_EQ(this->f_.cluster().PrepareGang(elsewhere).status().code(), absl::StatusCode::kNotFound);
}

TYPED_TEST(ClusterContract, StartedAttemptIsSeen) {
  this->Start(this->a_);
  this->AwaitPhase(this->a_, AttemptStatus::PREPARING);
  this->f_.node->Run(this->a_);
  this->AwaitPhase(this->a_, AttemptStatus::RUNNING);
  this->f_.node->Exit(this->a_, 0);
  this->AwaitPhase(this->a_, AttemptStatus::ENDED);
}

TYPED_TEST(ClusterContract, StartIsIdempotent) {
  this->Start(this->a_);
  this->Start(this->a_);
  EXPECT_EQ(this->f_.node->starts(this->a_), 1);
}

TYPED_TEST(ClusterContract, OlderAttemptThanAKnownOneIsRefusedForGood) {
  this->Start({"a", 2});
  EXPECT_EQ(this->f_.cluster().Start("local", RequestFor("a", 1)).code(), absl::StatusCode::kFailedPrecondition);
}

TYPED_TEST(ClusterContract, StopBeforeStartKeepsItFromStarting) {
  ASSERT_TRUE(this->f_.cluster().Stop("local", this->a_, 0).ok());
  this->Start(this->a_);
  EXPECT_EQ(this->f_.node->starts(this->a_), 0);
  this->AwaitPhase(this->a_, AttemptStatus::ENDED);
}

TYPED_TEST(ClusterContract, AttemptThatDoesNotFitEndsAsRejected) {
  this->f_.node->SetFull(true);
  this->Start(this->a_);
  this->AwaitPhase(this->a_, AttemptStatus::ENDED);
  EXPECT_EQ(this->f_.cluster().Read(0).attempts.at(0).status.end(), internal::v1::Observation::REJECTED);
  this->f_.node->SetFull(false);
  this->Start(this->a_);
  EXPECT_EQ(this->f_.node->starts(this->a_), 0) << "a start that comes late does nothing";
}

TYPED_TEST(ClusterContract, ADeposedLeaderChangesNothing) {
  internal::v1::StartAttemptRequest start = RequestFor("a", 1);
  start.set_epoch(7);
  ASSERT_TRUE(this->f_.cluster().Start("local", start).ok());
  internal::v1::StartAttemptRequest late = RequestFor("b", 1);
  late.set_epoch(6);
  EXPECT_TRUE(HasReason(this->f_.cluster().Start("local", late), Reason::kNotLeader));
  EXPECT_EQ(this->f_.node->starts({"b", 1}), 0);
  EXPECT_TRUE(HasReason(this->f_.cluster().Stop("local", this->a_, 6), Reason::kNotLeader));
  this->AwaitPhase(this->a_, AttemptStatus::PREPARING);
  this->f_.node->Exit(this->a_, 0);
  this->AwaitPhase(this->a_, AttemptStatus::ENDED);
  EXPECT_TRUE(HasReason(this->f_.cluster().Forget("local", {this->a_}, 6), Reason::kNotLeader));
  EXPECT_EQ(this->f_.node->List().size(), 1u);
  EXPECT_TRUE(this->f_.cluster().Forget("local", {this->a_}, 8).ok());
}

TYPED_TEST(ClusterContract, ForgottenAttemptIsGone) {
  this->Start(this->a_);
  this->f_.node->Exit(this->a_, 0);
  this->AwaitPhase(this->a_, AttemptStatus::ENDED);
  const auto version = this->f_.cluster().Read(0).version;
  ASSERT_TRUE(this->f_.cluster().Forget("local", {this->a_}, 0).ok());
  const ClusterChanges changes = this->f_.cluster().Read(version);
  EXPECT_FALSE(changes.complete);
  EXPECT_THAT(changes.gone, testing::ElementsAre(this->a_));
  EXPECT_THAT(this->f_.cluster().Read(0).attempts, IsEmpty());
  EXPECT_THAT(this->f_.node->List(), IsEmpty());
}

TYPED_TEST(ClusterContract, ReadReturnsWhatChangedSince) {
  this->Start(this->a_);
  this->AwaitPhase(this->a_, AttemptStatus::PREPARING);
  const auto version = this->f_.cluster().Read(0).version;
  EXPECT_THAT(this->f_.cluster().Read(version).attempts, IsEmpty());
  this->f_.node->Run(this->a_);
  this->AwaitPhase(this->a_, AttemptStatus::RUNNING);
  const ClusterChanges changes = this->f_.cluster().Read(version);
  EXPECT_GT(changes.version, version);
  ASSERT_EQ(changes.attempts.size(), 1u);
  EXPECT_EQ(changes.attempts[0].node, "local");
}

TYPED_TEST(ClusterContract, LostConnectionIsSaidAndWhatWasKnownStays) {
  this->Start(this->a_);
  this->AwaitPhase(this->a_, AttemptStatus::PREPARING);
  this->f_.Disconnect();
  this->AwaitSynced(false);
  EXPECT_EQ(this->PhaseOf(this->a_), AttemptStatus::PREPARING);
  EXPECT_EQ(this->f_.cluster().Start("local", RequestFor("b", 1)).code(), absl::StatusCode::kUnavailable);
}

TYPED_TEST(ClusterContract, AfterReconnectingItIsAsTheNodeHasIt) {
  this->Start(this->a_);
  this->Start({"b", 1});
  this->AwaitPhase({"b", 1}, AttemptStatus::PREPARING);
  this->f_.Disconnect();
  this->AwaitSynced(false);
  this->f_.node->Wipe();
  this->f_.node->Run({"b", 1});
  this->f_.Connect();
  this->AwaitSynced(true);
  EXPECT_EQ(this->PhaseOf({"b", 1}), AttemptStatus::RUNNING);
  EXPECT_EQ(this->PhaseOf(this->a_), AttemptStatus::PHASE_UNSPECIFIED);
}

TYPED_TEST(ClusterContract, UnknownNodeIsNotFound) {
  EXPECT_EQ(this->f_.cluster().Start("nowhere", RequestFor("a", 1)).code(), absl::StatusCode::kNotFound);
}

TEST(ClusterStore, ASignOfLifeWakesNobodyAndChangesNothing) {
  ClusterStore store;
  store.AddNode("n", "host");
  store.PutNode("n", Inventory(), absl::FromUnixSeconds(1));
  const std::int64_t version = store.Read(0).version;
  int wakes = 0;
  store.SetWake([&] { ++wakes; });
  store.Heard("n", absl::FromUnixSeconds(2));
  EXPECT_EQ(wakes, 0);
  EXPECT_EQ(store.Read(0).version, version);
  EXPECT_EQ(store.LastHeard().at("n"), absl::FromUnixSeconds(2));
}

TEST(ClusterStore, NodeThatVanishesIsToldWithItsAttempts) {
  ClusterStore store;
  store.AddNode("n", "host");
  AttemptStatus status;
  status.set_job_uid("a");
  status.set_attempt(1);
  store.PutAttempt("n", status, absl::FromUnixSeconds(1));
  const std::int64_t version = store.Read(0).version;
  store.RemoveNode("n");
  const ClusterChanges changes = store.Read(version);
  EXPECT_THAT(changes.gone_nodes, testing::ElementsAre("n"));
  ASSERT_EQ(changes.gone.size(), 1u);
  EXPECT_EQ(changes.gone[0].job_uid, "a");
  EXPECT_THAT(store.Read(0).nodes, IsEmpty());
}

TEST(ClusterStore, AfterTooManyRemovalsEverythingIsListed) {
  ClusterStore store;
  store.AddNode("n", "127.0.0.1");
  const auto version = store.Read(0).version;
  AttemptStatus status;
  for (int i = 0; i < 10'001; ++i) {
    status.set_job_uid(absl::StrCat(i));
    store.PutAttempt("n", status, absl::UnixEpoch());
    store.Remove("n", {{status.job_uid(), 0}});
  }
  EXPECT_TRUE(store.Read(version).complete);
  EXPECT_FALSE(store.Read(store.Read(0).version).complete);
}

TEST(LocalCluster, NodeThatNeverAnsweredIsListedAsNeverHeardAndDoesNotHoldUpTheEnd) {
  const SystemClock clock;
  LocalCluster cluster(
      {{"away", "127.0.0.1:1", grpc::CreateChannel("127.0.0.1:1", grpc::InsecureChannelCredentials())}}, clock);
  cluster.Run();
  const ClusterChanges all = cluster.Read(0);
  ASSERT_EQ(all.nodes.size(), 1u);
  EXPECT_EQ(cluster.LastHeard().at("away"), absl::InfinitePast());
  EXPECT_FALSE(all.nodes[0].synced);
  cluster.Shutdown();
}

}  // namespace
}  // namespace riseml::scheduler
