#include "services/loghandler/store/ingest.h"

#include <gtest/gtest.h>

#include "riseml/internal/v1/log_registry.pb.h"
#include "riseml/v1/job.pb.h"
#include "services/common/base/status.h"
#include "services/loghandler/ingest/end_tracker.h"
#include "services/loghandler/store/block.h"
#include "services/loghandler/testing/test_support.h"

namespace riseml::loghandler {
namespace {

struct Case {
  const char* name;
  Position at;
  std::int64_t first, length;
  IngestAction action;
  std::int64_t skip;
};

class DecideBlockTest : public testing::TestWithParam<Case> {};

TEST_P(DecideBlockTest, Decides) {
  const Case& c = GetParam();
  const IngestDecision decision = DecideBlock(c.at, c.first, c.length);
  EXPECT_EQ(decision.action, c.action);
  EXPECT_EQ(decision.skip, c.skip);
  EXPECT_EQ(decision.refusal.ok(), c.action != IngestAction::kRefuse);
}

const Case kCases[] = {
    {"TheFirst", {0, {}}, 0, 10, IngestAction::kStore, 0},
    {"TheNext", {100, {}}, 100, 1, IngestAction::kStore, 0},
    {"Repeated", {100, {}}, 40, 20, IngestAction::kDuplicate, 0},
    {"RepeatedUpToTheEnd", {100, {}}, 40, 60, IngestAction::kDuplicate, 0},
    {"StraddlesByOne", {100, {}}, 40, 61, IngestAction::kTrim, 60},
    {"AllButOneStored", {100, {}}, 99, 50, IngestAction::kTrim, 1},
    {"OneMissing", {100, {}}, 101, 50, IngestAction::kGoBack, 0},
    {"FarAhead", {0, {}}, 1000, 1, IngestAction::kGoBack, 0},
    {"RepeatedAfterTheEnd", {100, 100}, 90, 10, IngestAction::kDuplicate, 0},
    {"NewAfterTheEnd", {100, 100}, 100, 1, IngestAction::kRefuse, 0},
    {"StraddlesTheEnd", {100, 100}, 90, 11, IngestAction::kRefuse, 0},
    {"BeyondTheEnd", {100, 100}, 200, 1, IngestAction::kRefuse, 0},
};
INSTANTIATE_TEST_SUITE_P(Cases, DecideBlockTest, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

TEST(DecideEndTest, OnlyAtTheNextOffset) {
  EXPECT_EQ(DecideEnd({100, {}}, 100).action, IngestAction::kStore);
  EXPECT_EQ(DecideEnd({0, {}}, 0).action, IngestAction::kStore);
  EXPECT_EQ(DecideEnd({100, {}}, 101).action, IngestAction::kGoBack);
  EXPECT_EQ(DecideEnd({100, {}}, 99).action, IngestAction::kRefuse);
  EXPECT_EQ(DecideEnd({100, 100}, 100).action, IngestAction::kDuplicate);
  EXPECT_EQ(DecideEnd({100, 100}, 101).action, IngestAction::kRefuse);
  EXPECT_EQ(DecideEnd({100, 100}, 99).action, IngestAction::kRefuse);
}

// Any sequence of blocks of one log, in any order and any number of times, never stores a byte twice or skips one.
TEST(DecideBlockTest, StoresEachByteOnceWhateverComes) {
  std::mt19937 random(7);
  Position at;
  for (int i = 0; i < 20'000; ++i) {
    const std::int64_t first = random() % 5000;
    const std::int64_t length = 1 + random() % 100;
    const IngestDecision decision = DecideBlock(at, first, length);
    if (decision.action != IngestAction::kStore && decision.action != IngestAction::kTrim) continue;
    ASSERT_EQ(first + decision.skip, at.next_offset);
    ASSERT_LT(decision.skip, length);
    at.next_offset = first + length;
  }
  EXPECT_GT(at.next_offset, 4900);
}

TEST(CheckBlockTest, TakesWhatFits) {
  EXPECT_TRUE(CheckBlock(PlainBlock(0, "x")).ok());
  EXPECT_TRUE(CheckBlock(ZstdBlock(5, "some text")).ok());
  EXPECT_TRUE(CheckBlock(GapBlock(5, std::int64_t{1} << 40)).ok());
  EXPECT_TRUE(CheckBlock(PlainBlock(0, std::string(kMaxRawLength, 'x'))).ok());
}

TEST(CheckBlockTest, RefusesWhatDoesNotFit) {
  const auto refused = [](auto&& change) {
    v1::LogBlock block = ZstdBlock(5, "some text");
    change(block);
    const absl::Status status = CheckBlock(block);
    return absl::IsInvalidArgument(status);
  };
  EXPECT_TRUE(refused([](auto& b) { b.set_crc(b.crc() + 1); }));
  EXPECT_TRUE(refused([](auto& b) { b.mutable_data()->back() ^= 1; }));
  EXPECT_TRUE(refused([](auto& b) { b.set_first_offset(-1); }));
  EXPECT_TRUE(refused([](auto& b) { b.set_raw_length(0); }));
  EXPECT_TRUE(refused([](auto& b) { b.set_raw_length(kMaxRawLength + 1); }));
  EXPECT_TRUE(refused([](auto& b) { b.set_first_offset(kMaxOffset); }));
  EXPECT_TRUE(refused([](auto& b) { b.add_times(1); }));
  EXPECT_TRUE(refused([](auto& b) { b.set_coding(static_cast<v1::LogBlock::Coding>(9)); }));
  EXPECT_TRUE(refused([](auto& b) { b.set_coding(v1::LogBlock::GAP); }));
  EXPECT_TRUE(refused([](auto& b) { b = PlainBlock(0, "abc"), b.set_raw_length(4); }));
  EXPECT_TRUE(refused([](auto& b) { b = PlainBlock(0, std::string(kMaxRawLength + 1, 'x')); }));
}

TEST(DecodeBlockTest, NeverMoreThanClaimed) {
  v1::LogBlock bomb = ZstdBlock(0, std::string(kMaxRawLength * 4, 'x'));
  for (const std::int64_t claim : {std::int64_t{1}, kMaxRawLength, kMaxRawLength * 4}) {
    bomb.set_raw_length(claim);
    EXPECT_TRUE(absl::IsInvalidArgument(DecodeBlock(bomb).status())) << claim;
  }
  v1::LogBlock small = ZstdBlock(0, "abc");
  small.set_raw_length(4);
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeBlock(small).status()));
  small.set_data("no zstd at all");
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeBlock(small).status()));
}

TEST(TrimBlockTest, KeepsTheRestAndItsTimes) {
  v1::LogBlock block = ZstdBlock(100, "0123456789");
  for (const std::int64_t n : {0, 1000, 4, 1050, 8, 1100}) block.add_times(n);
  const v1::LogBlock rest = *TrimBlock(block, 6);
  EXPECT_TRUE(CheckBlock(rest).ok());
  EXPECT_EQ(rest.first_offset(), 106);
  EXPECT_EQ(*DecodeBlock(rest), "6789");
  EXPECT_EQ(std::vector<std::int64_t>(rest.times().begin(), rest.times().end()),
            (std::vector<std::int64_t>{0, 1050, 2, 1100}));
  const v1::LogBlock gap = *TrimBlock(GapBlock(100, 1000), 10);
  EXPECT_EQ(gap.first_offset(), 110);
  EXPECT_EQ(gap.raw_length(), 990);
  EXPECT_EQ(gap.coding(), v1::LogBlock::GAP);
}

class EndTrackerTest : public testing::Test {
 protected:
  internal::v1::StreamInfo Info(bool ended, v1::Attempt::LogState state) const {
    internal::v1::StreamInfo info;
    info.set_job_uid(id_.job_uid);
    info.set_attempt(id_.attempt);
    info.set_ended(ended);
    info.set_log_state(state);
    return info;
  }
  const StreamId id_{NewUuid(), 1};
  const absl::Time start_ = absl::FromUnixSeconds(1'000'000);
  EndTracker tracker_{absl::Minutes(10)};
};

TEST_F(EndTrackerTest, OverdueOnlyWhenOverForLongerThanTheGrace) {
  tracker_.Update(Info(false, v1::Attempt::OPEN), start_);
  EXPECT_TRUE(tracker_.Overdue(start_ + absl::Hours(100)).empty());
  tracker_.Update(Info(true, v1::Attempt::OPEN), start_);
  tracker_.Update(Info(true, v1::Attempt::OPEN), start_ + absl::Minutes(9));  // said again: counts from the first time
  EXPECT_FALSE(tracker_.IsOverdue(id_, start_ + absl::Minutes(10)));
  EXPECT_EQ(tracker_.Overdue(start_ + absl::Minutes(11)), std::vector<StreamId>{id_});
}

TEST_F(EndTrackerTest, TheGraceCountsFromTheEndOfTheAttemptAlsoAfterARestart) {
  internal::v1::StreamInfo info = Info(true, v1::Attempt::OPEN);
  info.mutable_end_time()->set_seconds(absl::ToUnixSeconds(start_) - 9 * 60);
  tracker_.Update(info, start_);  // heard of 9 minutes later
  EXPECT_FALSE(tracker_.IsOverdue(id_, start_ + absl::Minutes(1)));
  EXPECT_TRUE(tracker_.IsOverdue(id_, start_ + absl::Minutes(1) + absl::Seconds(1)));
  EndTracker restarted{absl::Minutes(10)};
  restarted.Update(info, start_ + absl::Minutes(2));
  EXPECT_TRUE(restarted.IsOverdue(id_, start_ + absl::Minutes(2)));
}

TEST_F(EndTrackerTest, AnEndInTheFutureCountsFromNow) {
  internal::v1::StreamInfo info = Info(true, v1::Attempt::OPEN);
  info.mutable_end_time()->set_seconds(absl::ToUnixSeconds(start_) + 3600);
  tracker_.Update(info, start_);
  EXPECT_TRUE(tracker_.IsOverdue(id_, start_ + absl::Minutes(11)));
}

TEST_F(EndTrackerTest, ReportedOrCompleteIsNotOverdue) {
  tracker_.Update(Info(true, v1::Attempt::OPEN), start_);
  tracker_.Reported(id_);
  EXPECT_TRUE(tracker_.Overdue(start_ + absl::Hours(1)).empty());
  tracker_.Update(Info(true, v1::Attempt::OPEN), start_);
  EXPECT_FALSE(tracker_.Overdue(start_ + absl::Hours(1)).empty());
  tracker_.Update(Info(true, v1::Attempt::TRUNCATED), start_);
  EXPECT_TRUE(tracker_.Overdue(start_ + absl::Hours(1)).empty());
  tracker_.Update(Info(true, v1::Attempt::COMPLETE), start_);
  EXPECT_FALSE(tracker_.IsOverdue(id_, start_ + absl::Hours(1)));
}

}  // namespace
}  // namespace riseml::loghandler
