// WalkTree on trees that change under it.
#include "services/common/base/files/walk_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"

namespace riseml {
namespace {

using testing::UnorderedElementsAre;
namespace fs = std::filesystem;

class WalkTreeTest : public testing::Test {
 protected:
  WalkTreeTest() {
    char pattern[] = "/tmp/riseml-walk-XXXXXX";
    root_ = mkdtemp(pattern);
  }
  ~WalkTreeTest() override { fs::remove_all(root_); }
  void Make(const std::string& file) {
    fs::create_directories(fs::path(root_ + "/" + file).parent_path());
    std::ofstream(root_ + "/" + file) << "x";
  }
  // Paths that a walk shows; `meanwhile` happens when it shows one.
  absl::StatusOr<std::vector<std::string>> Paths(const std::function<bool(const TreeEntry&)>& meanwhile) {
    std::vector<std::string> paths;
    const absl::Status walked = WalkTree(root_, [&](const TreeEntry& entry) {
      paths.push_back(entry.path);
      return meanwhile(entry);
    });
    if (!walked.ok()) return walked;
    return paths;
  }

  std::string root_;
};

TEST_F(WalkTreeTest, ShowsAllButWhatIsInDirectoriesThatAreNotEntered) {
  Make("a/b/file");
  Make("c/file");
  fs::create_directory_symlink(root_ + "/a", root_ + "/link");
  const auto paths = Paths([](const TreeEntry& entry) {
    EXPECT_EQ(entry.is_directory, entry.path == "a" || entry.path == "a/b" || entry.path == "c") << entry.path;
    return entry.path != "c";
  });
  ASSERT_TRUE(paths.ok()) << paths.status();
  EXPECT_THAT(*paths, UnorderedElementsAre("a", "a/b", "a/b/file", "c", "link"));
}

TEST_F(WalkTreeTest, ADirectoryThatVanishesIsLeftOutAndTheRestIsShown) {
  for (int i = 0; i < 20; ++i) Make(absl::StrCat(i, "/file"));
  int vanished = 0;
  const auto paths = Paths([&](const TreeEntry& entry) {
    if (!entry.is_directory || entry.path.size() < 2) return true;
    fs::remove_all(root_ + "/" + entry.path);
    ++vanished;
    return true;
  });
  ASSERT_TRUE(paths.ok()) << paths.status();
  EXPECT_EQ(vanished, 10);
  EXPECT_EQ(paths->size(), 30u) << "20 directories and the files of those that stayed";
}

TEST_F(WalkTreeTest, ADirectoryInPlaceOfWhichComesAnotherThingIsLeftOut) {
  Make("a/file");
  Make("b/file");
  const auto paths = Paths([&](const TreeEntry& entry) {
    if (!entry.is_directory) return true;
    fs::remove_all(root_ + "/" + entry.path);
    if (entry.path == "a") Make("a");
    if (entry.path == "b") fs::create_directory_symlink("/", root_ + "/b");
    return true;
  });
  ASSERT_TRUE(paths.ok()) << paths.status();
  EXPECT_THAT(*paths, UnorderedElementsAre("a", "b"));
}

TEST_F(WalkTreeTest, WhatIsBelowAVanishedDirectoryIsLeftOutToo) {
  Make("a/b/c/file");
  const auto paths = Paths([&](const TreeEntry& entry) {
    if (entry.path == "a/b") fs::remove_all(root_ + "/a");
    return true;
  });
  ASSERT_TRUE(paths.ok()) << paths.status();
  EXPECT_THAT(*paths, UnorderedElementsAre("a", "a/b"));
}

TEST_F(WalkTreeTest, AnAbsentTopIsAnErrorAndSoIsOneOfTheCaller) {
  EXPECT_TRUE(HasReason(WalkTree(root_ + "/absent", [](const TreeEntry&) { return true; }), Reason::kNotFound));
  Make("a");
  const auto fail = [](const TreeEntry&) -> absl::StatusOr<bool> { return absl::AbortedError("enough"); };
  EXPECT_EQ(WalkTree(root_, fail).code(), absl::StatusCode::kAborted);
}

TEST_F(WalkTreeTest, TooManyDirectoriesInEachOtherAreAnErrorUnlessTheyAreSkipped) {
  std::string deep = root_;
  for (int i = 0; i < 300; ++i) absl::StrAppend(&deep, "/d");
  ASSERT_TRUE(fs::create_directories(deep));
  int shown = 0;
  const LookAtEntry look = [&shown](const TreeEntry&) {
    ++shown;
    return true;
  };
  EXPECT_TRUE(HasReason(WalkTree(root_, look), Reason::kLimitExceeded));
  shown = 0;
  Make("file");
  EXPECT_TRUE(WalkTree(root_, look, Unreadable::kIsSkipped).ok());
  EXPECT_GT(shown, 200);
}

TEST_F(WalkTreeTest, BytesOnTheDiskCountAFileOfSeveralNamesOnce) {
  EXPECT_EQ(DiskBytesBelow(root_), 0);
  EXPECT_EQ(DiskBytesBelow(root_ + "/absent"), 0);
  fs::create_directory(root_ + "/a");
  const std::int64_t directories = DiskBytesBelow(root_);
  std::ofstream(root_ + "/a/file") << std::string(300'000, 'x');
  const std::int64_t bytes = DiskBytesBelow(root_);
  EXPECT_GE(bytes, directories + 300'000);
  fs::create_hard_link(root_ + "/a/file", root_ + "/a/again");
  fs::create_symlink(root_ + "/a/file", root_ + "/link");
  EXPECT_LT(DiskBytesBelow(root_), bytes + 300'000);
}

}  // namespace
}  // namespace riseml
