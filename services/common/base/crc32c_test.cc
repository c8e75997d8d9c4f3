#include "services/common/base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace riseml {
namespace {

std::string Ascending(int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out.push_back(static_cast<char>(i));
  return out;
}

TEST(Crc32c, HasTheValuesOfRfc3720) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(Crc32c(Ascending(32)), 0x46DD794Eu);
}

TEST(Crc32c, OfPartsIsThatOfTheWhole) {
  const std::string bytes = Ascending(200);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut)
    ASSERT_EQ(ExtendCrc32c(Crc32c(bytes.substr(0, cut)), bytes.substr(cut)), Crc32c(bytes)) << "cut at " << cut;
}

TEST(Crc32c, PortableFormAgrees) {
  for (int n = 0; n < 70; ++n)
    for (int start = 0; start < 8; ++start) {
      const std::string bytes = Ascending(n + start).substr(start);  // every alignment
      ASSERT_EQ(crc32c_internal::ExtendPortable(7, bytes), ExtendCrc32c(7, bytes)) << n << " bytes from " << start;
    }
}

}  // namespace
}  // namespace riseml
