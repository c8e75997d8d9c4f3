#include "services/agent/node/holdings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace riseml::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

class HoldingsTest : public ::testing::Test {
 protected:
  static v1::Node Machine() {
    v1::Node node;
    node.set_cpus(4);
    node.set_memory_bytes(8'000'000'000);
    for (const char* uuid : {"GPU-0", "GPU-1"}) node.add_gpus()->set_uuid(uuid);
    return node;
  }
  static internal::v1::StartAttemptRequest Ask(double cpus, double memory_mb,
                                               const std::vector<std::string>& gpus = {}) {
    internal::v1::StartAttemptRequest start;
    start.mutable_resources()->set_cpus(cpus);
    start.mutable_resources()->set_memory_bytes(static_cast<std::int64_t>(memory_mb * 1e6));
    start.mutable_resources()->set_gpus(static_cast<int>(gpus.size()));
    for (const std::string& gpu : gpus) start.add_gpu_uuids(gpu);
    return start;
  }
  Holdings holdings_{Machine()};
};

TEST_F(HoldingsTest, NoGpuIsGivenTwice) {
  EXPECT_EQ(holdings_.Take({"a", 1}, Ask(1, 1, {"GPU-0"})), std::nullopt);
  EXPECT_THAT(holdings_.Take({"b", 1}, Ask(1, 1, {"GPU-1", "GPU-0"})),
              Optional(HasSubstr("GPU GPU-0 is held by attempt 1 of job a")));
  EXPECT_EQ(holdings_.Take({"c", 1}, Ask(1, 1, {"GPU-1"})), std::nullopt) << "what was refused holds nothing";
  holdings_.Release({"a", 1});
  EXPECT_EQ(holdings_.Take({"b", 1}, Ask(1, 1, {"GPU-0"})), std::nullopt);
}

TEST_F(HoldingsTest, UnknownGpuIsRefused) {
  EXPECT_THAT(holdings_.Take({"a", 1}, Ask(1, 1, {"GPU-7"})), Optional(HasSubstr("the node has no GPU GPU-7")));
}

TEST_F(HoldingsTest, NoMoreIsGivenThanThereIs) {
  EXPECT_EQ(holdings_.Take({"a", 1}, Ask(2.5, 6000)), std::nullopt);
  EXPECT_THAT(holdings_.Take({"b", 1}, Ask(2, 1000)), Optional(HasSubstr("needs 2 CPUs, 1.5 free")));
  EXPECT_THAT(holdings_.Take({"b", 1}, Ask(1, 3000)), Optional(HasSubstr("needs 3000 MB of memory, 2000 free")));
  EXPECT_EQ(holdings_.Take({"b", 1}, Ask(1.5, 2000)), std::nullopt);
  EXPECT_EQ(holdings_.Take({"c", 1}, Ask(0, 0)), std::nullopt) << "nothing fits always";
}

TEST_F(HoldingsTest, RepeatedStartTakesOnce) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(holdings_.Take({"a", 1}, Ask(3, 1, {"GPU-0"})), std::nullopt);
  EXPECT_EQ(holdings_.Take({"b", 1}, Ask(1, 1)), std::nullopt);
}

TEST_F(HoldingsTest, WhatRunsAlreadyHoldsEvenTooMuch) {
  holdings_.Adopt({"a", 1}, Ask(100, 1, {"GPU-0"}));
  EXPECT_THAT(holdings_.Take({"b", 1}, Ask(1, 1)), Optional(HasSubstr("0 free")));
  internal::v1::AttemptStatus status;
  holdings_.Show({"a", 1}, &status);
  EXPECT_EQ(status.resources().cpus(), 100);
  ASSERT_EQ(status.gpu_uuids_size(), 1);
  EXPECT_EQ(status.gpu_uuids(0), "GPU-0");
}

}  // namespace
}  // namespace riseml::agent
