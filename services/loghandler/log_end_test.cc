// How logs end, and what a log handler does while api is away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/loghandler/loghandler_fixture.h"

namespace riseml::loghandler {
namespace {

using LogEndTest = LogHandlerTest;

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
