#include "services/builder/code_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/builder/code_files_fixture.h"

namespace riseml::builder {
namespace {

TEST(CachedCodeFiles, AsksForEachPathOnce) {
  FakeFiles files;
  CachedCodeFiles cached(files, 10'000);
  for (int i = 0; i < 2; ++i) {
    const auto found = cached.Read("p", "c", {"requirements.txt", "absent"});
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->size(), 1u);
  }
  EXPECT_EQ(files.asked.size(), 2u);
  ASSERT_TRUE(cached.Read("p", "other", {"absent"}).ok());
  EXPECT_EQ(files.asked.size(), 3u);
}

TEST(CachedCodeFiles, ErrorsAreNotRemembered) {
  FakeFiles files;
  files.status = absl::UnavailableError("away");
  CachedCodeFiles cached(files, 10'000);
  EXPECT_FALSE(cached.Read("p", "c", {"requirements.txt"}).ok());
  files.status = absl::OkStatus();
  EXPECT_EQ(cached.Read("p", "c", {"requirements.txt"})->size(), 1u);
}

TEST(CachedCodeFiles, StaysWithinItsCapacityAndRight) {
  FakeFiles files;
  CachedCodeFiles cached(files, 400);
  for (int i = 0; i < 10; ++i) {
    const auto found = cached.Read("p", absl::StrCat(i), {"requirements.txt", "a", "b"});
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->size(), 1u);
  }
}

}  // namespace
}  // namespace riseml::builder
