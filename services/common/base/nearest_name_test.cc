#include "services/common/base/nearest_name.h"

#include <gtest/gtest.h>

namespace riseml {
namespace {

TEST(NearestName, IsTheOneThatDiffersLeast) {
  EXPECT_EQ(NearestName("trian", {"status", "train", "wait"}), "train");
  EXPECT_EQ(NearestName("resorces", {"run", "resources"}), "resources");
  EXPECT_EQ(NearestName("Batch-Size", {"batches", "batch_size"}), "batch_size");
}

TEST(NearestName, FewerThanHalfOfTheCharactersDiffer) {
  EXPECT_EQ(NearestName("lrr", {"lr"}), "lr");
  EXPECT_EQ(NearestName("lrs", {"bs", "lr"}), "lr");
  EXPECT_EQ(NearestName("cp", {"up", "rm"}), "");
  EXPECT_EQ(NearestName("stat", {"status"}), "status");
  EXPECT_EQ(NearestName("configuration", {"config"}), "") << "at most three";
}

TEST(NearestName, WithNothingInCommonThereIsNone) {
  EXPECT_EQ(NearestName("a", {"b"}), "");
  EXPECT_EQ(NearestName("momentum", {"lr", "epochs"}), "");
  EXPECT_EQ(NearestName("x", {}), "");
  EXPECT_EQ(NearestName("", {"lr"}), "");
}

TEST(NearestName, ALongNameIsNotCompared) { EXPECT_EQ(NearestName(std::string(41, 'a'), {std::string(40, 'a')}), ""); }

}  // namespace
}  // namespace riseml
