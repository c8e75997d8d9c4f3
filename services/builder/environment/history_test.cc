#include "services/builder/environment/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"

namespace riseml::builder {
namespace {

TEST(History, ForgetsWhatWasNotUsedForLong) {
  char pattern[] = "/tmp/riseml-history-XXXXXX";
  const std::string dir = mkdtemp(pattern);
  const History::Project project{"11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"};
  const auto describe = [] { return internal::v1::KnownEnvironment(); };
  History history(dir);
  for (int i = 0; i < 60; ++i) history.Note(project, absl::StrCat(std::string(62, 'a'), 10 + i), describe);
  const std::string last = absl::StrCat(std::string(62, 'a'), 69);
  const std::string known = absl::StrCat(dir, "/.known/", project.owner_uid, "/", project.project_uid);
  const auto files = [&known] {
    return std::distance(std::filesystem::directory_iterator(known), std::filesystem::directory_iterator());
  };
  EXPECT_EQ(files(), 50);
  EXPECT_EQ(history.Last(project)->key, last);
  history.Note({"../..", "x"}, last, describe);
  const absl::Time now = SystemClock().Now();
  history.Forget(now);
  EXPECT_EQ(files(), 50);
  history.Forget(now + absl::Hours(24 * 31));
  EXPECT_FALSE(FileExists(known));
  EXPECT_FALSE(history.Last(project).has_value());
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace riseml::builder
