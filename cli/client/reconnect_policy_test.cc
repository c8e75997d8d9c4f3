#include "cli/client/reconnect_policy.h"

#include <gtest/gtest.h>

#include <optional>

#include "absl/time/time.h"
#include "services/common/base/status.h"

namespace riseml::cli {
namespace {

TEST(ReconnectPolicy, TriesUnavailableForEver) {
  ReconnectPolicy reconnects;
  for (int i = 0; i < 100; ++i) {
    const auto wait = reconnects.After(absl::UnavailableError("x"));
    ASSERT_TRUE(wait.has_value());
    EXPECT_LE(*wait, absl::Seconds(2));
  }
}

TEST(ReconnectPolicy, WaitsAsLongAsTheServerAsks) {
  ReconnectPolicy reconnects;
  const absl::Status full = WithRetryDelay(Error(Reason::kLimitExceeded, "too many readers"), absl::Minutes(1));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(reconnects.After(full), absl::Minutes(1));
  EXPECT_EQ(reconnects.After(full), std::nullopt);
  EXPECT_EQ(ReconnectPolicy().After(WithRetryDelay(absl::UnavailableError("x"), absl::Minutes(1))), absl::Minutes(1));
}

TEST(ReconnectPolicy, GivesUpOnRefusalsAtOnceAndOnOddCodesAfterFive) {
  ReconnectPolicy reconnects;
  EXPECT_FALSE(reconnects.After(absl::PermissionDeniedError("x")).has_value());
  reconnects.Progress();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(reconnects.After(absl::InternalError("x")).has_value());
  EXPECT_FALSE(reconnects.After(absl::InternalError("x")).has_value());
  reconnects.Progress();
  EXPECT_TRUE(reconnects.After(absl::InternalError("x")).has_value());
}

}  // namespace
}  // namespace riseml::cli
