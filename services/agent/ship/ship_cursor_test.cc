#include "services/agent/ship/ship_cursor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "services/common/base/clock.h"

namespace riseml::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int64_t kLimit = std::int64_t{1} << 40;

class ShipCursorTest : public ::testing::Test {
 protected:
  SendBlock Block(ShipCursor& cursor) {
    const ShipAction action = cursor.Next(clock_.Now());
    const auto* block = std::get_if<SendBlock>(&action);
    EXPECT_NE(block, nullptr);
    if (block == nullptr) return {};
    const SendBlock copy = *block;
    cursor.Sent(action, clock_.Now());
    return copy;
  }
  absl::Time Wait(const ShipCursor& cursor) {
    const ShipAction action = cursor.Next(clock_.Now());
    const auto* wait = std::get_if<WaitUntil>(&action);
    EXPECT_NE(wait, nullptr);
    return wait == nullptr ? absl::InfinitePast() : wait->time;
  }
  FakeClock clock_;
};

TEST_F(ShipCursorTest, WaitsForACall) {
  ShipCursor cursor(0, 0, kLimit);
  cursor.SetSize(10, clock_.Now());
  EXPECT_EQ(Wait(cursor), absl::InfiniteFuture());
  cursor.Begin(0);
  clock_.Advance(kLinger);
  EXPECT_EQ(Block(cursor).length, 10);
  EXPECT_EQ(Wait(cursor), absl::InfiniteFuture());
}

TEST_F(ShipCursorTest, SmallBlocksAreTwentyMillisecondsApart) {
  ShipCursor cursor(0, 0, kLimit);
  cursor.Begin(0);
  cursor.SetSize(1, clock_.Now());
  EXPECT_EQ(Wait(cursor), clock_.Now() + kLinger);
  clock_.Advance(kLinger);
  EXPECT_EQ(Block(cursor).length, 1);
  clock_.Advance(absl::Milliseconds(1));
  cursor.SetSize(2, clock_.Now());
  EXPECT_EQ(Wait(cursor), clock_.Now() + kBlockInterval - absl::Milliseconds(1));
  clock_.Advance(kBlockInterval);
  cursor.SetSize(5, clock_.Now());
  const SendBlock block = Block(cursor);
  EXPECT_EQ(block.first, 1);
  EXPECT_EQ(block.length, 4);
}

TEST_F(ShipCursorTest, FullBlocksGoAtOnceUpToTheWindow) {
  ShipCursor cursor(0, 0, kLimit);
  cursor.Begin(0);
  cursor.SetSize(100 * kWindowBytes, clock_.Now());
  std::int64_t sent = 0;
  while (std::holds_alternative<SendBlock>(cursor.Next(clock_.Now()))) {
    EXPECT_EQ(Block(cursor).length, kBlockBytes);
    sent += kBlockBytes;
  }
  EXPECT_EQ(sent, kWindowBytes);
  cursor.Acknowledge(kBlockBytes);
  EXPECT_EQ(Block(cursor).first, kWindowBytes);
}

TEST_F(ShipCursorTest, TheEndComesAfterTheLastByteAndOnce) {
  ShipCursor cursor(0, 0, kLimit);
  cursor.Begin(0);
  cursor.SetSize(3, clock_.Now());
  cursor.SetEnd(3);
  EXPECT_EQ(Block(cursor).length, 3);  // without waiting: nothing will follow
  const ShipAction end = cursor.Next(clock_.Now());
  ASSERT_TRUE(std::holds_alternative<SendEnd>(end));
  EXPECT_EQ(std::get<SendEnd>(end).final_offset, 3);
  cursor.Sent(end, clock_.Now());
  EXPECT_EQ(Wait(cursor), absl::InfiniteFuture());
}

TEST_F(ShipCursorTest, ANewCallGoesOnWhereTheServerSays) {
  ShipCursor cursor(0, 0, kLimit);
  cursor.Begin(0);
  cursor.SetSize(3 * kBlockBytes, clock_.Now());
  for (int i = 0; i < 3; ++i) Block(cursor);
  cursor.Acknowledge(kBlockBytes);
  cursor.Disconnect();
  EXPECT_EQ(Wait(cursor), absl::InfiniteFuture());
  cursor.Begin(2 * kBlockBytes - 5);
  EXPECT_EQ(Block(cursor).first, 2 * kBlockBytes - 5);
  cursor.Disconnect();
  cursor.Begin(0);  // a server that has lost what it had acknowledged
  EXPECT_EQ(Block(cursor).first, 0);
}

TEST_F(ShipCursorTest, AnAcknowledgementAheadOfThisCallSkips) {
  ShipCursor cursor(0, 0, kLimit);
  cursor.Begin(0);
  cursor.SetSize(3 * kBlockBytes, clock_.Now());
  cursor.Acknowledge(2 * kBlockBytes);
  EXPECT_EQ(Block(cursor).first, 2 * kBlockBytes);
}

TEST_F(ShipCursorTest, TheOldestBytesAreDroppedBeyondTheLimitAsOneGap) {
  const std::int64_t limit = 1 << 20;
  ShipCursor cursor(0, 0, limit);
  cursor.SetSize(limit, clock_.Now());
  EXPECT_EQ(cursor.dropped(), 0);
  cursor.SetSize(limit + 1, clock_.Now());
  const std::int64_t dropped = cursor.dropped();
  EXPECT_EQ(dropped, 1 + limit / 16);
  cursor.Begin(100);
  const ShipAction action = cursor.Next(clock_.Now());
  ASSERT_TRUE(std::holds_alternative<SendGap>(action));
  EXPECT_EQ(std::get<SendGap>(action).first, 100);
  EXPECT_EQ(std::get<SendGap>(action).length, dropped - 100);
  cursor.Sent(action, clock_.Now());
  EXPECT_EQ(Block(cursor).first, dropped);
  cursor.Acknowledge(dropped);
  cursor.SetSize(limit + dropped, clock_.Now());
  EXPECT_EQ(cursor.dropped(), dropped) << "what is stored does not count";
}

TEST_F(ShipCursorTest, FreedBytesThatAreAskedForAgainAreAGap) {
  ShipCursor cursor(0, 0, kLimit);
  cursor.SetSize(3 * kBlockBytes, clock_.Now());
  cursor.SetFreed(kBlockBytes);
  cursor.Begin(10);
  const ShipAction action = cursor.Next(clock_.Now());
  ASSERT_TRUE(std::holds_alternative<SendGap>(action));
  EXPECT_EQ(std::get<SendGap>(action).length, kBlockBytes - 10);
}

TEST_F(ShipCursorTest, ALogThatWasCutStillEnds) {
  ShipCursor cursor(0, 0, kLimit);
  cursor.Begin(50);
  cursor.SetSize(20, clock_.Now());
  cursor.SetEnd(20);
  const ShipAction action = cursor.Next(clock_.Now());
  ASSERT_TRUE(std::holds_alternative<SendEnd>(action));
  EXPECT_EQ(std::get<SendEnd>(action).final_offset, 50);
}

TEST(TimeMarksTest, AreFiftyMillisecondsApartAndRelativeToTheBlock) {
  TimeMarks marks;
  const absl::Time start = absl::FromUnixMillis(1000);
  for (int i = 0; i < 10; ++i) marks.Add(i * 10, start + absl::Milliseconds(i * 20));
  EXPECT_THAT(marks.For(0, 100), ElementsAre(0, 1000, 30, 1060, 60, 1120, 90, 1180));
  EXPECT_THAT(marks.For(65, 10), ElementsAre(0, 1120));
  EXPECT_THAT(marks.For(25, 10), ElementsAre(0, 1000, 5, 1060));
  marks.Forget(65);
  EXPECT_THAT(marks.For(65, 10), ElementsAre(0, 1120)) << "the mark a byte needs stays";
  EXPECT_THAT(TimeMarks().For(0, 10), IsEmpty());
}

TEST(TimeMarksTest, AreBounded) {
  TimeMarks marks;
  const absl::Time start = absl::FromUnixMillis(0);
  for (int i = 0; i < 100'000; ++i) marks.Add(i, start + absl::Seconds(i));
  EXPECT_LE(marks.For(0, 100'000).size(), 2u * 4097);
  EXPECT_EQ(marks.For(0, 1)[1], 0);
}

// Whatever happens to calls and acknowledgements, the server gets each byte exactly once, or in exactly one gap.
TEST(ShipCursorProperty, TheServerGetsEveryByteOnce) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::minstd_rand random(seed);
    const auto upto = [&random](std::int64_t n) { return static_cast<std::int64_t>(random()) % (n + 1); };
    FakeClock clock;
    const std::int64_t limit = kBlockBytes + upto(20 * kBlockBytes);
    ShipCursor cursor(0, 0, limit);
    std::int64_t size = 0, stored = 0, gaps = 0, acknowledged_most = 0;
    bool connected = false, ended = false, complete = false;
    for (int step = 0; step < 2000 && !complete; ++step) {
      clock.Advance(absl::Milliseconds(upto(30)));
      switch (upto(9)) {
        case 0:
          cursor.Disconnect();
          connected = false;
          break;
        case 1:
          if (!connected) cursor.Begin(stored);
          connected = true;
          break;
        case 2:
          if (connected) cursor.Acknowledge(stored - upto(std::min(stored, kBlockBytes)));
          break;
        case 3:
          if (!ended) cursor.SetSize(size += upto(3 * kBlockBytes), clock.Now());
          break;
        case 4:
          if (step > 1000 && !ended) cursor.SetEnd(size), ended = true;
          break;
        default: {
          const ShipAction action = cursor.Next(clock.Now());
          if (std::holds_alternative<WaitUntil>(action)) break;
          ASSERT_TRUE(connected);
          const bool arrives = upto(9) != 0;  // else the call breaks and this is lost
          std::int64_t first = stored, length = 0;
          if (const auto* block = std::get_if<SendBlock>(&action)) first = block->first, length = block->length;
          if (const auto* gap = std::get_if<SendGap>(&action)) first = gap->first, length = gap->length;
          ASSERT_LE(first, stored) << "a hole";
          ASSERT_LE(first + length, size) << "bytes that are not there";
          cursor.Sent(action, clock.Now());
          if (!arrives) {
            cursor.Disconnect();
            connected = false;
            break;
          }
          if (std::holds_alternative<SendGap>(action)) gaps += std::max<std::int64_t>(0, first + length - stored);
          stored = std::max(stored, first + length);
          if (const auto* end = std::get_if<SendEnd>(&action)) {
            ASSERT_TRUE(ended);
            ASSERT_EQ(end->final_offset, size);
            ASSERT_EQ(stored, size);
            complete = true;
          }
        }
      }
      acknowledged_most = std::max(acknowledged_most, cursor.acknowledged());
      ASSERT_LE(cursor.acknowledged(), std::max(stored, size));
      ASSERT_LE(size - std::max(cursor.acknowledged(), cursor.dropped()), limit);
      ASSERT_LE(cursor.lost_bytes(), cursor.dropped());
      ASSERT_LE(cursor.waiting_bytes(), limit + kWindowBytes + kBlockBytes);
    }
    ASSERT_LE(gaps, cursor.dropped());
  }
}

}  // namespace
}  // namespace riseml::agent
