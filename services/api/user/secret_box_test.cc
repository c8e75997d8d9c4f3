#include "services/api/user/secret_box.h"

#include <gtest/gtest.h>

namespace riseml::api {
namespace {

const std::string kKey(32, 'k');

TEST(SecretBox, OpensWhatItSealed) {
  const SecretBox box(kKey);
  for (const std::string& value : {std::string("hunter2"), std::string("\0\n", 2), std::string(65536, 'x')}) {
    const std::string sealed = box.Seal(value, "owner");
    EXPECT_EQ(sealed.find(value), std::string::npos);
    EXPECT_EQ(*box.Open(sealed, "owner"), value);
    EXPECT_NE(box.Seal(value, "owner"), sealed) << "a nonce is used once";
  }
}

TEST(SecretBox, RefusesWhatIsNotItsOwn) {
  const SecretBox box(kKey);
  std::string sealed = box.Seal("hunter2", "owner");
  EXPECT_TRUE(absl::IsDataLoss(box.Open(sealed, "other").status()));
  EXPECT_TRUE(absl::IsDataLoss(SecretBox(std::string(32, 'l')).Open(sealed, "owner").status()));
  EXPECT_TRUE(absl::IsDataLoss(box.Open("", "owner").status()));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string damaged = sealed;
    damaged[i] ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(box.Open(damaged, "owner").status())) << i;
  }
}

}  // namespace
}  // namespace riseml::api
