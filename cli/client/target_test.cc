#include "cli/client/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace riseml::cli {
namespace {

struct Good {
  std::string text, resource;
  Target::Kind kind;
};

class GoodTarget : public testing::TestWithParam<Good> {};

TEST_P(GoodTarget, NamesTheResource) {
  const auto target = ParseTarget(GetParam().text);
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->kind, GetParam().kind);
  EXPECT_EQ(Resource(*target, "me"), GetParam().resource);
}

constexpr auto kExperiment = Target::Kind::kExperiment;
constexpr auto kJob = Target::Kind::kJob;
INSTANTIATE_TEST_SUITE_P(Forms, GoodTarget,
                         testing::Values(Good{"1", "users/me/experiments/1", kExperiment},
                                         Good{"14.3", "users/me/experiments/14.3", kExperiment},
                                         Good{"1.build", "users/me/experiments/1/jobs/build", kJob},
                                         Good{"18.worker.3", "users/me/experiments/18/jobs/worker.3", kJob},
                                         Good{".paul.18", "users/paul/experiments/18", kExperiment},
                                         Good{"paul.18", "users/paul/experiments/18", kExperiment},
                                         Good{".12.18", "users/12/experiments/18", kExperiment},
                                         Good{".paul.18.1.worker.3", "users/paul/experiments/18.1/jobs/worker.3", kJob},
                                         Good{"paul.18.1.train", "users/paul/experiments/18.1/jobs/train", kJob},
                                         Good{"0B687763-0757-11e7-875b-80e65006b9ce",
                                              "users/me/experiments/0b687763-0757-11e7-875b-80e65006b9ce",
                                              kExperiment}));

TEST(Target, AUserAloneNeedsItsDot) {
  const auto target = ParseTarget(".paul");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->kind, Target::Kind::kUser);
  EXPECT_EQ(target->user, "paul");
  EXPECT_FALSE(ParseTarget("paul").ok());
}

TEST(Target, RecentOnesCountBackwards) {
  EXPECT_EQ(ParseTarget("@last")->back, 1);
  EXPECT_EQ(ParseTarget("-1")->back, 1);
  EXPECT_EQ(ParseTarget("-2")->back, 2);
  EXPECT_EQ(ParseTarget("-2")->kind, Target::Kind::kRecent);
}

class BadTarget : public testing::TestWithParam<std::string> {};

TEST_P(BadTarget, IsRefused) {
  const absl::Status status = ParseTarget(GetParam()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("Id does not identify any RiseML entity!"));
}

INSTANTIATE_TEST_SUITE_P(Forms, BadTarget,
                         testing::Values("", ".", "0", "1.", "1..2", "1.2.3", "1.train.", "1.train.0", "1.train.2.3",
                                         "-0", "-501", "-x", "@first", "..1", "1.tr4in", "99999999999", ".p.1", "1/2",
                                         "1 "));

TEST(Target, ShownIdsLeaveOutTheCaller) {
  EXPECT_EQ(ShownId("users/me/experiments/14.3", "me"), "14.3");
  EXPECT_EQ(ShownId("users/me/experiments/14.3/jobs/train", "me"), "14.3.train");
  EXPECT_EQ(ShownId("users/paul/experiments/14", "me"), ".paul.14");
}

}  // namespace
}  // namespace riseml::cli
