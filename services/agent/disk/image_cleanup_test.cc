#include "services/agent/disk/image_cleanup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace riseml::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kPresent = absl::FromUnixSeconds(2'000'000'000);

std::vector<HeldImage> Images() {
  return {{"r/month@sha256:1", kPresent - absl::Hours(30 * 24)},
          {"r/now@sha256:2", kPresent},
          {"r/year@sha256:3", kPresent - absl::Hours(365 * 24)},
          {"r/two-hours@sha256:4", kPresent - absl::Hours(2)}};
}

TEST(ImagesToRemoveTest, TakesThoseThatNobodyHasUsedForAWeek) {
  EXPECT_THAT(ImagesToRemove(Images(), false, kPresent), ElementsAre("r/year@sha256:3", "r/month@sha256:1"));
  EXPECT_THAT(ImagesToRemove({{"r/week@sha256:1", kPresent - kUnusedFor}}, false, kPresent),
              ElementsAre("r/week@sha256:1"));
  EXPECT_THAT(ImagesToRemove({{"r/week@sha256:1", kPresent - kUnusedFor + absl::Seconds(1)}}, false, kPresent),
              IsEmpty());
}

TEST(ImagesToRemoveTest, TakesThoseOfTheLastHoursTooOnAShortDisk) {
  EXPECT_THAT(ImagesToRemove(Images(), true, kPresent),
              ElementsAre("r/year@sha256:3", "r/month@sha256:1", "r/two-hours@sha256:4"));
}

TEST(ImagesToRemoveTest, KeepsAnImageWhoseUseIsAheadOfTheClock) {
  EXPECT_THAT(ImagesToRemove({{"r/a@sha256:1", kPresent + absl::Hours(1)}}, true, kPresent), IsEmpty());
}

TEST(IsShortTest, ADiskIsShortBeforeAttemptsAreEndedForIt) {
  constexpr std::int64_t kGib = std::int64_t{1} << 30;
  EXPECT_FALSE(IsShort({.total = 100 * kGib, .free = 5 * kGib}));
  EXPECT_TRUE(IsShort({.total = 100 * kGib, .free = 3 * kGib}));
  EXPECT_EQ(DiskGuard().Look({.total = 100 * kGib, .free = 3 * kGib}), DiskPressure::kNone);
}

}  // namespace
}  // namespace riseml::agent
