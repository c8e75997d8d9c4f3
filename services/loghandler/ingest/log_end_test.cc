// How logs end, and what a log handler does while api is away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/loghandler/testing/loghandler_fixture.h"

namespace riseml::loghandler {
namespace {

class LogEndTest : public LogHandlerTest {
 protected:
  // Value of a gauge.
  double Gauge(const std::string& name) const {
    for (const auto& family : metrics_->Collect())
      if (family.name == name) return family.metric.at(0).gauge.value;
    ADD_FAILURE() << "no metric " << name;
    return 0;
  }
};

TEST_F(LogEndTest, ALogWithoutAnEndIsCutAfterTheGrace) {
  options_.registry.end_marker_grace = absl::ZeroDuration();
  Start();
  const StreamId id = api_->AddStream(kRoot, "train");
  TestReader reader = Follow();
  TestShipper shipper(*stub_, FakeApi::TokenOf(id));
  shipper.Send(PlainBlock(0, "abc"));
  ASSERT_TRUE(shipper.WaitDurable(3));
  api_->EndAttempt(id);
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::TRUNCATED), 3);
  api_->EndRoot(kRoot);
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(reader[id].bytes, "abc");
  ASSERT_TRUE(reader[id].end.has_value());
  EXPECT_FALSE(reader[id].end->complete());
  EXPECT_EQ(reader[id].end->final_offset(), 3);
  // The node comes back.
  shipper.Send(PlainBlock(3, "def"));
  shipper.SendEnd(6);
  EXPECT_TRUE(shipper.WaitComplete());
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), 6);
}

TEST_F(LogEndTest, ARestartDoesNotBeginTheGraceAnew) {
  const StreamId id = api_->AddStream(kRoot, "train");
  {
    TestShipper shipper(*stub_, FakeApi::TokenOf(id));
    shipper.Send(PlainBlock(0, "abc"));
    ASSERT_TRUE(shipper.WaitDurable(3));
  }
  handler_.reset();
  // It ended longer ago than the grace, though this log handler has never heard of it.
  api_->EndAttempt(id, clock_.Now() - options_.registry.end_marker_grace - absl::Minutes(1));
  Start();
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::TRUNCATED), 3);
}

// Changes a byte in the middle of the first segment of a log.
void Damage(const std::string& dir, const StreamId& id) {
  const std::string path = absl::StrCat(dir, "/logs/", Print(id), "/", SegmentName(0));
  std::string bytes = *ReadFile(path, 1 << 20);
  bytes[kHeaderSize + kRecordHeaderSize + 10] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
}

TEST_F(LogEndTest, ADamagedLogEndsItselfAndNotTheOthersOfASet) {
  const StreamId damaged = api_->AddStream(kRoot, "damaged");
  const StreamId whole = api_->AddStream(kRoot, "whole");
  ASSERT_TRUE(Ship(damaged, "these bytes will not be read again"));
  ASSERT_TRUE(Ship(whole, "these bytes will"));
  api_->WaitForLog(damaged, v1::Attempt::COMPLETE);
  api_->WaitForLog(whole, v1::Attempt::COMPLETE);
  handler_.reset();
  Damage(options_.store.dir, damaged);
  Start();
  v1::FollowRequest present = FollowFor(kRoot);
  present.set_no_follow(true);
  v1::FollowRequest tail = FollowFor(kRoot);
  tail.set_tail_lines(1);
  api_->EndRoot(kRoot);
  for (const v1::FollowRequest& request : {FollowFor(kRoot), present, tail}) {
    TestReader reader = Follow(request);
    EXPECT_TRUE(reader.Finish().ok());
    ASSERT_TRUE(reader[damaged].end.has_value());
    EXPECT_FALSE(reader[damaged].end->complete());
    EXPECT_THAT(reader[damaged].end->error(), testing::HasSubstr("damaged"));
    EXPECT_EQ(reader[damaged].end->final_offset(), 0);
    EXPECT_EQ(reader[whole].bytes, "these bytes will");
    ASSERT_TRUE(reader[whole].end.has_value());
    EXPECT_TRUE(reader[whole].end->complete());
    EXPECT_EQ(reader[whole].end->error(), "");
  }
}

TEST_F(LogEndTest, ALogThatCannotBeOpenedEndsOnlyItself) {
  const StreamId damaged = api_->AddStream(kRoot, "damaged");
  const StreamId whole = api_->AddStream(kRoot, "whole");
  ASSERT_TRUE(Ship(damaged, "abc"));
  ASSERT_TRUE(Ship(whole, "abc"));
  handler_.reset();
  ASSERT_TRUE(
      WriteFileAtomically(absl::StrCat(options_.store.dir, "/logs/", Print(damaged), "/stream.pb"), "\xff").ok());
  Start();
  api_->EndRoot(kRoot);
  TestReader reader = Follow();
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_THAT(reader[damaged].end->error(), testing::HasSubstr("damaged"));
  EXPECT_EQ(reader[whole].bytes, "abc");
}

class OwnsElsewhere final : public StreamOwners {
 public:
  std::string OwnerOf(const StreamId& id) const override {
    MutexLock lock(mu_);
    return elsewhere_.contains(id) ? "logs-1.example:7000" : "";
  }
  void Move(const StreamId& id) {
    MutexLock lock(mu_);
    elsewhere_.insert(id);
  }

 private:
  mutable Mutex mu_;
  std::set<StreamId> elsewhere_ ABSL_GUARDED_BY(mu_);
};

TEST_F(LogEndTest, AStreamOfAnotherOwnerIsNamedAndTheOthersAreFollowed) {
  const auto owners = std::make_shared<OwnsElsewhere>();
  options_.owners = owners;
  Start();
  const StreamId mine = api_->AddStream(kRoot, "mine");
  const StreamId foreign = api_->AddStream(kRoot, "foreign");
  owners->Move(foreign);
  ASSERT_TRUE(Ship(mine, "abc"));
  TestReader reader = Follow();
  ASSERT_TRUE(reader.NextUntil([&] { return reader[foreign].owner.has_value() && reader[mine].end.has_value(); }));
  EXPECT_EQ(reader[foreign].owner->address(), "logs-1.example:7000");
  EXPECT_EQ(reader[foreign].owner->job(), absl::StrCat(kRoot, "/jobs/foreign"));
  EXPECT_FALSE(reader[foreign].owner->late());
  EXPECT_EQ(reader[mine].bytes, "abc");
  // A stream that appears later, and one that moves while it is followed.
  const StreamId late = api_->AddStream(kRoot, "late");
  owners->Move(late);
  ASSERT_TRUE(reader.NextUntil([&] { return reader[late].owner.has_value(); }));
  EXPECT_TRUE(reader[late].owner->late());
  const StreamId moved = api_->AddStream(kRoot, "moved");
  TestShipper shipper(*stub_, FakeApi::TokenOf(moved));
  shipper.Send(PlainBlock(0, "here"));
  ASSERT_TRUE(reader.NextUntil([&] { return reader[moved].bytes == "here"; }));
  owners->Move(moved);
  shipper.Send(PlainBlock(4, "there"));
  ASSERT_TRUE(reader.NextUntil([&] { return reader[moved].owner.has_value(); }));
  EXPECT_EQ(reader[moved].bytes, "here");
  api_->EndRoot(kRoot);
  EXPECT_TRUE(reader.Finish().ok());
}

TEST_F(LogEndTest, AnAttemptThatNeverBeganHasACompleteEmptyLog) {
  const StreamId id = api_->AddStream(kRoot, "train");
  api_->SetLog(id, v1::Attempt::COMPLETE, 0);
  api_->EndRoot(kRoot);
  TestReader reader = Follow();
  EXPECT_TRUE(reader.Finish().ok());
  ASSERT_TRUE(reader[id].end.has_value());
  EXPECT_TRUE(reader[id].end->complete());
  EXPECT_EQ(reader[id].bytes, "");
}

TEST_F(LogEndTest, ALogThatBecameCompleteWhileApiWasAwayIsReportedLater) {
  const StreamId id = api_->AddStream(kRoot, "train");
  ASSERT_TRUE(Ship(id, "abc"));
  api_->WaitForLog(id, v1::Attempt::COMPLETE);
  handler_.reset();
  api_->SetLog(id, v1::Attempt::OPEN, 0);  // as if the report had been lost
  Start();
  EXPECT_EQ(api_->WaitForLog(id, v1::Attempt::COMPLETE), 3);
}

TEST_F(LogEndTest, LostBytesAreSaidToBeLost) {
  const StreamId id = api_->AddStream(kRoot, "train");
  TestShipper shipper(*stub_, FakeApi::TokenOf(id));
  shipper.Send(PlainBlock(0, "abc"));
  shipper.Send(GapBlock(3, 1000));
  shipper.Send(PlainBlock(1003, "def"));
  shipper.SendEnd(1006);
  ASSERT_TRUE(shipper.WaitComplete());
  api_->EndRoot(kRoot);
  TestReader reader = Follow();
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(reader[id].bytes, "abc" + std::string(1000, '#') + "def");
  EXPECT_EQ(reader[id].gaps, 1);
}

TEST_F(LogEndTest, AStreamEndsWhenItsReaderMayNotReadAnyMore) {
  options_.follow.recheck = absl::Milliseconds(20);
  Start();
  api_->AddStream(kRoot, "train");
  TestReader reader = Follow();
  ASSERT_TRUE(reader.NextUntil([&] { return reader.streams.size() == 1; }));
  api_->DisableUser(kKey);
  EXPECT_TRUE(absl::IsUnauthenticated(reader.Finish()));
}

TEST_F(LogEndTest, AStreamEndsWithItsKeyAlthoughNothingIsSaid) {
  options_.follow.recheck = options_.follow.poll = absl::Hours(1);
  Start();
  api_->AddStream(kRoot, "train");
  TestReader reader = Follow();
  ASSERT_TRUE(reader.NextUntil([&] { return reader.streams.size() == 1; }));
  api_->DisableUser(kKey);
  EXPECT_TRUE(absl::IsUnauthenticated(reader.Finish()));
}

TEST_F(LogEndTest, AReaderThatTakesNothingIsCutOffSoonAfterItsKey) {
  options_.follow.recheck = options_.follow.poll = absl::Hours(1);
  Start();
  const StreamId id = api_->AddStream(kRoot, "train");
  ASSERT_TRUE(Ship(id, RandomLog(random_, 16'000'000)));
  TestReader reader = Follow();
  ASSERT_TRUE(reader.NextUntil([&] { return !reader[id].bytes.empty(); }));
  api_->DisableUser(kKey);
  const absl::Time disabled = clock_.Now();
  while (Gauge("riseml_loghandler_followers") > 0) std::this_thread::yield();
  EXPECT_LT(clock_.Now() - disabled, absl::Seconds(3));
}

TEST_F(LogEndTest, NewStreamsAreNoticedWhileChangesAreNotHeardOf) {
  options_.follow.poll = absl::Milliseconds(20);
  Start();
  api_->SetWatchOff(true);
  TestReader reader = Follow();
  const StreamId id = api_->AddStream(kRoot, "train");
  ASSERT_TRUE(Ship(id, "abc"));
  ASSERT_TRUE(reader.NextUntil([&] { return reader[id].end.has_value(); }));
  api_->EndRoot(kRoot);
  EXPECT_TRUE(reader.Finish().ok());
  api_->SetWatchOff(false);
}

}  // namespace
}  // namespace riseml::loghandler
