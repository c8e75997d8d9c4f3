#include "services/scheduler/cluster/cluster_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace riseml::scheduler {
namespace {

TEST(ClusterStore, ASignOfLifeWakesNobodyAndChangesNothing) {
  ClusterStore store;
  store.AddNode("n", "host");
  store.PutNode("n", v1::Node(), absl::FromUnixSeconds(1));
  const std::int64_t version = store.Read(0).version;
  int wakes = 0;
  store.SetWake([&] { ++wakes; });
  store.Heard("n", absl::FromUnixSeconds(2));
  EXPECT_EQ(wakes, 0);
  EXPECT_EQ(store.Read(0).version, version);
  EXPECT_EQ(store.LastHeard().at("n"), absl::FromUnixSeconds(2));
}

TEST(ClusterStore, NodeCountsAsHeardOnceItHasListedItsAttempts) {
  ClusterStore store;
  store.AddNode("n", "host");
  store.BeginList("n");
  store.PutNode("n", v1::Node(), absl::FromUnixSeconds(1));
  internal::v1::AttemptStatus status;
  status.set_job_uid("a");
  store.PutAttempt("n", status, absl::FromUnixSeconds(2));
  store.Heard("n", absl::FromUnixSeconds(3));
  EXPECT_EQ(store.LastHeard().at("n"), absl::InfinitePast());
  store.FinishList("n", absl::FromUnixSeconds(4));
  EXPECT_EQ(store.LastHeard().at("n"), absl::FromUnixSeconds(4));
  // Later its attempts are known from before.
  store.Disconnected("n");
  store.BeginList("n");
  store.PutNode("n", v1::Node(), absl::FromUnixSeconds(5));
  EXPECT_EQ(store.LastHeard().at("n"), absl::FromUnixSeconds(5));
}

TEST(ClusterStore, NodeThatVanishesIsToldWithItsAttempts) {
  ClusterStore store;
  store.AddNode("n", "host");
  internal::v1::AttemptStatus status;
  status.set_job_uid("a");
  status.set_attempt(1);
  store.PutAttempt("n", status, absl::FromUnixSeconds(1));
  const std::int64_t version = store.Read(0).version;
  store.RemoveNode("n");
  const ClusterChanges changes = store.Read(version);
  EXPECT_THAT(changes.gone_nodes, testing::ElementsAre("n"));
  ASSERT_EQ(changes.gone.size(), 1u);
  EXPECT_EQ(changes.gone[0].job_uid, "a");
  EXPECT_THAT(store.Read(0).nodes, testing::IsEmpty());
}

TEST(ClusterStore, AfterTooManyRemovalsEverythingIsListed) {
  ClusterStore store;
  store.AddNode("n", "127.0.0.1");
  const auto version = store.Read(0).version;
  internal::v1::AttemptStatus status;
  for (int i = 0; i < 10'001; ++i) {
    status.set_job_uid(absl::StrCat(i));
    store.PutAttempt("n", status, absl::UnixEpoch());
    store.Remove("n", {{status.job_uid(), 0}});
  }
  EXPECT_TRUE(store.Read(version).complete);
  EXPECT_FALSE(store.Read(store.Read(0).version).complete);
}

}  // namespace
}  // namespace riseml::scheduler
