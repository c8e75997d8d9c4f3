#include "services/agent/node/build_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace riseml::agent {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kGib = 1 << 30;

TEST(BuildLimits, HaveDefaultsAndBounds) {
  config::v1::NodeConfig config;
  EXPECT_EQ(BuildLimitsOf(config)->time, absl::Hours(6));
  EXPECT_EQ(BuildLimitsOf(config)->bytes, 100'000'000'000);
  config.set_build_bytes_limit(-1);
  config.mutable_build_time_limit()->set_seconds(60);
  EXPECT_EQ(BuildLimitsOf(config)->time, absl::Minutes(1));
  EXPECT_EQ(BuildLimitsOf(config)->bytes, -1);
  for (const int seconds : {0, -1, 24 * 3600 + 1}) {
    config.mutable_build_time_limit()->set_seconds(seconds);
    EXPECT_THAT(BuildLimitsOf(config).status().message(), HasSubstr("build_time_limit")) << seconds;
  }
}

TEST(BuildLimits, EndWhatTakesMore) {
  const BuildLimits limits{.time = absl::Hours(1), .bytes = 2 * kGib};
  EXPECT_FALSE(EndOfBuild({absl::Minutes(59), 2 * kGib}, limits, "here"));
  const auto late = EndOfBuild({absl::Hours(1), 0}, limits, "here");
  ASSERT_TRUE(late);
  EXPECT_EQ(late->reason(), "BUILD_TIME_LIMIT");
  EXPECT_EQ(late->exit_class(), v1::Attempt::USER_ERROR);
  EXPECT_THAT(late->message(), HasSubstr("after 1h, the longest time that a build may take on node here"));
  const auto large = EndOfBuild({absl::Minutes(1), 3 * kGib}, limits, "here");
  ASSERT_TRUE(large);
  EXPECT_EQ(large->reason(), "BUILD_DISK_LIMIT");
  EXPECT_THAT(large->message(), HasSubstr("with 3.0 GiB on the disk of node here, where a build may have 2.0 GiB"));
  EXPECT_FALSE(EndOfBuild({absl::Minutes(1), 300 * kGib}, {.time = absl::Hours(1), .bytes = -1}, "here"));
}

}  // namespace
}  // namespace riseml::agent
