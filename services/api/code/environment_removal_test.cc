#include "services/api/code/environment_removal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace riseml::api {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int64_t kNow = 1'800'000'000;

v1::StoredEnvironment Environment(const std::string& key, int hours_unused, std::int64_t bytes) {
  v1::StoredEnvironment environment;
  environment.set_key(key);
  environment.set_owner("users/paul");
  environment.set_bytes(bytes);
  environment.mutable_create_time()->set_seconds(kNow - 10'000 * 3600);
  environment.mutable_last_use_time()->set_seconds(kNow - hours_unused * 3600);
  return environment;
}

std::vector<std::string> Choose(const std::vector<v1::StoredEnvironment>& environments,
                                const EnvironmentLimits& limits) {
  return ChooseForRemoval(environments, limits, absl::FromUnixSeconds(kNow));
}

TEST(ChooseForRemoval, TakesWhatWasUnusedForTooLong) {
  EXPECT_THAT(Choose({Environment("a", 20, 1), Environment("b", 30, 1)}, {.max_age = absl::Hours(24)}),
              ElementsAre("b"));
  EXPECT_THAT(Choose({Environment("b", 3000, 1)}, {.max_age = absl::ZeroDuration()}), IsEmpty());
}

TEST(ChooseForRemoval, TakesTheOldestUntilTheRestFits) {
  const std::vector<v1::StoredEnvironment> environments = {Environment("new", 1, 50), Environment("old", 3, 30),
                                                           Environment("middle", 2, 30)};
  EXPECT_THAT(Choose(environments, {.max_age = {}, .max_bytes = 110}), IsEmpty());
  EXPECT_THAT(Choose(environments, {.max_age = {}, .max_bytes = 80}), ElementsAre("old"));
  EXPECT_THAT(Choose(environments, {.max_age = {}, .max_bytes = 79}), ElementsAre("old", "middle"));
  EXPECT_THAT(Choose(environments, {.max_age = {}, .max_bytes = -1}), IsEmpty());
}

TEST(ChooseForRemoval, NeverTakesWhatIsUsed) {
  v1::StoredEnvironment used = Environment("used", 300, 100);
  used.add_used_by("users/paul/experiments/1/jobs/train");
  EXPECT_THAT(Choose({used, Environment("other", 1, 1)}, {.max_age = absl::Hours(24), .max_bytes = 0}),
              ElementsAre("other"));
}

TEST(ChooseForRemoval, TakesBrokenBuildsAfterADay) {
  v1::StoredEnvironment broken = Environment("broken", 300, 100);
  broken.clear_owner();
  broken.clear_last_use_time();
  EXPECT_THAT(Choose({broken}, {.max_age = {}}), ElementsAre("broken"));
  broken.mutable_create_time()->set_seconds(kNow - 3600);
  EXPECT_THAT(Choose({broken}, {.max_age = {}}), IsEmpty());
}

TEST(FindKey, TakesABeginningThatIsUnique) {
  const std::vector<v1::StoredEnvironment> environments = {Environment("0123456789", 1, 1),
                                                           Environment("01234567aa", 1, 1)};
  EXPECT_EQ(*EnvironmentStore::FindKey(environments, "012345678"), "0123456789");
  EXPECT_FALSE(EnvironmentStore::FindKey(environments, "01234567").ok());
  EXPECT_FALSE(EnvironmentStore::FindKey(environments, "0123").ok());
  EXPECT_TRUE(absl::IsNotFound(EnvironmentStore::FindKey(environments, "99999999").status()));
}

}  // namespace
}  // namespace riseml::api
