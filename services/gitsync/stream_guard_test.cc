#include "services/gitsync/stream_guard.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "services/common/base/mutex.h"
#include "services/common/base/status.h"

namespace riseml::gitsync {
namespace {

// Moved by the test and read by the guard's own thread.
class SharedClock final : public Clock {
 public:
  absl::Time Now() const override {
    MutexLock lock(mu_);
    return now_;
  }
  void Advance(absl::Duration by) {
    MutexLock lock(mu_);
    now_ += by;
  }

 private:
  mutable Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_) = absl::FromUnixSeconds(1'700'000'000);
};

class StreamGuardTest : public ::testing::Test {
 protected:
  static std::function<void()> Count(std::atomic<int>& cancelled) {
    return [&cancelled] { ++cancelled; };
  }
  void Wait(StreamGuard::Slot& slot, absl::Duration time, std::size_t bytes) {
    slot.BeginWait();
    clock_.Advance(time);
    guard_.CancelSlow();
    slot.EndWait(bytes);
  }

  SharedClock clock_;
  StreamGuard guard_{{.total = 4, .per_user = 2, .reserved = 1, .patience = absl::Seconds(30), .least_rate = 1000},
                     clock_};
};

TEST_F(StreamGuardTest, BoundsTransfersOfAllAndOfEach) {
  std::atomic<int> cancelled{0};
  auto one = guard_.Enter("paul", Count(cancelled));
  std::optional<absl::StatusOr<StreamGuard::Slot>> two = guard_.Enter("paul", Count(cancelled));
  ASSERT_TRUE(one.ok() && two->ok());
  const absl::Status refused = guard_.Enter("paul", Count(cancelled)).status();
  EXPECT_TRUE(HasReason(refused, Reason::kLimitExceeded)) << refused;
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  auto three = guard_.Enter("ada", Count(cancelled));
  ASSERT_TRUE(three.ok());
  two.reset();
  EXPECT_TRUE(guard_.Enter("paul", Count(cancelled)).ok());
  EXPECT_EQ(cancelled, 0);
}

TEST_F(StreamGuardTest, TheLastSlotsAreForUsersWhoHaveNone) {
  std::atomic<int> cancelled{0};
  const auto one = guard_.Enter("paul", Count(cancelled)), two = guard_.Enter("paul", Count(cancelled));
  const auto three = guard_.Enter("ada", Count(cancelled));
  ASSERT_TRUE(one.ok() && two.ok() && three.ok());
  EXPECT_TRUE(HasReason(guard_.Enter("ada", Count(cancelled)).status(), Reason::kLimitExceeded));
  const auto four = guard_.Enter("eve", Count(cancelled));
  ASSERT_TRUE(four.ok());
  const absl::Status full = guard_.Enter("max", Count(cancelled)).status();
  EXPECT_TRUE(HasReason(full, Reason::kUnavailable)) << full;
  EXPECT_TRUE(RetryDelayOf(full).has_value());
}

TEST_F(StreamGuardTest, EndsTransfersThatStandStill) {
  std::atomic<int> cancelled{0};
  auto slot = guard_.Enter("paul", Count(cancelled));
  ASSERT_TRUE(slot.ok());
  slot->BeginWait();
  clock_.Advance(absl::Seconds(29));
  guard_.CancelSlow();
  EXPECT_EQ(cancelled, 0);
  clock_.Advance(absl::Seconds(1));
  guard_.CancelSlow();
  EXPECT_EQ(cancelled, 1);
  guard_.CancelSlow();
  EXPECT_EQ(cancelled, 1);  // once is enough
}

TEST_F(StreamGuardTest, AByteNowAndThenKeepsNoSlot) {
  std::atomic<int> cancelled{0};
  auto slot = guard_.Enter("paul", Count(cancelled));
  ASSERT_TRUE(slot.ok());
  for (int i = 0; i < 4; ++i) Wait(*slot, absl::Seconds(10), 1);
  EXPECT_EQ(cancelled, 1);
}

TEST_F(StreamGuardTest, ASlowClientThatSendsOnIsLeftAlone) {
  std::atomic<int> cancelled{0};
  auto slot = guard_.Enter("paul", Count(cancelled));
  ASSERT_TRUE(slot.ok());
  // The largest frame at 10 kB a second.
  for (int i = 0; i < 20; ++i) Wait(*slot, absl::Seconds(26), 262'144);
  EXPECT_EQ(cancelled, 0);
  // What it has sent before does not buy more than one patience.
  Wait(*slot, absl::Seconds(31), 0);
  EXPECT_EQ(cancelled, 1);
}

TEST_F(StreamGuardTest, TheServersOwnWorkCostsNoPatience) {
  std::atomic<int> cancelled{0};
  auto slot = guard_.Enter("paul", Count(cancelled));
  ASSERT_TRUE(slot.ok());
  Wait(*slot, absl::Seconds(10), 1);
  clock_.Advance(absl::Minutes(10));
  guard_.CancelSlow();
  Wait(*slot, absl::Seconds(10), 1);
  EXPECT_EQ(cancelled, 0);
}

}  // namespace
}  // namespace riseml::gitsync
