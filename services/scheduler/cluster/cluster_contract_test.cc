// Contract of Cluster: runs on the fake, and on the adapter against NodeAgentService over TLS on loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/common/base/clock.h"
#include "services/common/base/status.h"
#include "services/scheduler/cluster/cluster_rigs.h"
#include "services/scheduler/cluster/local_cluster.h"

namespace riseml::scheduler {
namespace {

using internal::v1::AttemptStatus;
using testing::IsEmpty;

template <class Rig>
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
  AttemptStatus::Phase PhaseOf(const AttemptId& key) {
    for (const AttemptOnNode& attempt : f_.cluster().Read(0).attempts)
      if (attempt.key() == key) return attempt.status.phase();
    return AttemptStatus::PHASE_UNSPECIFIED;
  }
  void AwaitPhase(const AttemptId& key, AttemptStatus::Phase phase) {
    ASSERT_TRUE(f_.bell.Await([&] { return PhaseOf(key) == phase; })) << AttemptStatus::Phase_Name(PhaseOf(key));
  }
  void Start(const AttemptId& key) {
    const absl::Status status = f_.cluster().Start("local", RequestFor(key.job_uid, key.attempt));
    ASSERT_TRUE(status.ok()) << status;
  }

  Rig f_;
  const AttemptId a_{"a", 1};
};

using Rigs = testing::Types<FakeClusterRig, LocalClusterRig>;
TYPED_TEST_SUITE(ClusterContract, Rigs);

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
