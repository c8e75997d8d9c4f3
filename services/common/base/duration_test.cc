#include "services/common/base/duration.h"

#include <gtest/gtest.h>

namespace riseml {
namespace {

TEST(ReadDuration, TakesUnitsAndPlainSeconds) {
  EXPECT_EQ(ReadDuration("90"), absl::Seconds(90));
  EXPECT_EQ(ReadDuration("0"), absl::ZeroDuration());
  EXPECT_EQ(ReadDuration("1.5"), absl::Milliseconds(1500));
  EXPECT_EQ(ReadDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(ReadDuration("-5s"), absl::Seconds(-5));
  EXPECT_EQ(ReadDuration("inf"), absl::InfiniteDuration());
  for (const char* text : {"", "h", "5 minutes", "nan", "1h30"}) EXPECT_FALSE(ReadDuration(text)) << text;
}

}  // namespace
}  // namespace riseml
