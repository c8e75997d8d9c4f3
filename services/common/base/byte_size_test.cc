#include "services/common/base/byte_size.h"

#include <gtest/gtest.h>

namespace riseml {
namespace {

constexpr std::int64_t kGib = std::int64_t{1} << 30;

TEST(PrintSize, HasOneDecimalWhereItIsNotZero) {
  EXPECT_EQ(PrintSize(0), "0 bytes");
  EXPECT_EQ(PrintSize(1), "1 byte");
  EXPECT_EQ(PrintSize(1023), "1023 bytes");
  EXPECT_EQ(PrintSize(1024), "1 KiB");
  EXPECT_EQ(PrintSize(500 * kGib), "500 GiB");
  EXPECT_EQ(PrintSize(12 * kGib + kGib / 3), "12.3 GiB");
  EXPECT_EQ(PrintSize(kGib - 1), "1 GiB") << "not 1024 MiB";
}

TEST(ReadSize, TakesUnitsAndPlainBytes) {
  EXPECT_EQ(ReadSize("500G"), 500 * kGib);
  EXPECT_EQ(ReadSize("500GiB"), 500 * kGib);
  EXPECT_EQ(ReadSize("500gB"), 500 * kGib);
  EXPECT_EQ(ReadSize("1.5T"), 1536 * kGib);
  EXPECT_EQ(ReadSize("10M"), 10 << 20);
  EXPECT_EQ(ReadSize("2048"), 2048);
  EXPECT_EQ(ReadSize("0"), 0);
  for (const char* text : {"", "G", "-1", "-5G", "5 G", "5X", "1e3", "5B", "1.2.3G", "9000P", "0x10", "nan", "inf"})
    EXPECT_FALSE(ReadSize(text)) << text;
}

}  // namespace
}  // namespace riseml
