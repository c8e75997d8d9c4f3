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
  SharedClock clock_;
  StreamGuard guard_{{.total = 3, .per_user = 2, .idle = absl::Minutes(2)}, clock_};
};

TEST_F(StreamGuardTest, BoundsTransfersOfAllAndOfEach) {
  std::atomic<int> cancelled{0};
  auto one = guard_.Enter("paul", Count(cancelled));
  std::optional<absl::StatusOr<StreamGuard::Slot>> two = guard_.Enter("paul", Count(cancelled));
  ASSERT_TRUE(one.ok() && two->ok());
  EXPECT_TRUE(HasReason(guard_.Enter("paul", Count(cancelled)).status(), Reason::kUnavailable));
  auto three = guard_.Enter("ada", Count(cancelled));
  ASSERT_TRUE(three.ok());
  EXPECT_TRUE(HasReason(guard_.Enter("eve", Count(cancelled)).status(), Reason::kUnavailable));
  two.reset();
  EXPECT_TRUE(guard_.Enter("eve", Count(cancelled)).ok());
  EXPECT_EQ(cancelled, 0);
}

TEST_F(StreamGuardTest, EndsTransfersThatStandStill) {
  std::atomic<int> still{0}, moving{0};
  auto one = guard_.Enter("paul", Count(still));
  auto two = guard_.Enter("ada", Count(moving));
  clock_.Advance(absl::Seconds(119));
  guard_.CancelIdle();
  EXPECT_EQ(still, 0);
  two->Progress();
  clock_.Advance(absl::Seconds(1));
  guard_.CancelIdle();
  EXPECT_EQ(still, 1);
  guard_.CancelIdle();
  EXPECT_EQ(still, 1);  // once is enough
  EXPECT_EQ(moving, 0);
}

}  // namespace
}  // namespace riseml::gitsync
