// Tests when a job that prints fast has to wait.
#include "services/agent/process/output_pace.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"

namespace riseml::agent {
namespace {

constexpr absl::Time kStart = absl::FromUnixSeconds(1000);
constexpr std::int64_t kBurst = OutputPace::kBurstBytes;
constexpr std::int64_t kSecond = OutputPace::kBytesPerSecond;

TEST(OutputPace, ABurstPassesAtOnce) {
  OutputPace pace;
  EXPECT_EQ(pace.Take(kBurst, kStart), absl::ZeroDuration());
  EXPECT_EQ(pace.Take(kSecond, kStart), absl::Seconds(1));
}

TEST(OutputPace, WhoKeepsToThePaceNeverWaits) {
  OutputPace pace;
  pace.Take(kBurst, kStart);
  for (int second = 1; second < 100; ++second)
    EXPECT_EQ(pace.Take(kSecond, kStart + absl::Seconds(second)), absl::ZeroDuration()) << second;
}

TEST(OutputPace, ABurstComesBackWithTime) {
  OutputPace pace;
  pace.Take(kBurst, kStart);
  EXPECT_EQ(pace.Take(kSecond, kStart + absl::Milliseconds(500)), absl::Milliseconds(500));
  EXPECT_EQ(pace.Take(kBurst, kStart + absl::Hours(1)), absl::ZeroDuration());
}

TEST(OutputPace, ClockThatIsSetBackCostsNothing) {
  OutputPace pace;
  pace.Take(kBurst, kStart);
  EXPECT_EQ(pace.Take(kSecond, kStart - absl::Hours(1)), absl::Seconds(1));
}

}  // namespace
}  // namespace riseml::agent
