// RemoveTree against what a hostile job leaves.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"

namespace riseml {
namespace {

class RemoveTreeTest : public testing::Test {
 protected:
  RemoveTreeTest() {
    char pattern[] = "/tmp/riseml-remove-XXXXXX";
    root_ = mkdtemp(pattern);
  }
  ~RemoveTreeTest() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& path) { std::ofstream(path) << "x"; }

  std::string root_;
};

TEST_F(RemoveTreeTest, NestedDirectoriesNeedFewDescriptors) {
  constexpr int kDepth = 5000;
  const std::string top = root_ + "/deep";
  ASSERT_EQ(mkdir(top.c_str(), 0755), 0);
  UniqueFd at(open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(mkdirat(at.get(), "d", 0755), 0) << i;
    at = UniqueFd(openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at.valid()) << i;
  }
  at.Reset();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 32;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const absl::Status removed = RemoveTree(top);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_FALSE(FileExists(top));
}

TEST_F(RemoveTreeTest, DirectoriesThatNobodyMayEnterGoToo) {
  const std::string top = root_ + "/closed";
  std::filesystem::create_directories(top + "/a/b/c");
  Write(top + "/a/b/c/file");
  Write(top + "/a/b/.1");
  for (const char* path : {"/a/b/c", "/a/b", "/a"}) ASSERT_EQ(chmod((top + path).c_str(), 0), 0);
  ASSERT_EQ(chmod(top.c_str(), 0), 0);
  const absl::Status removed = RemoveTree(top);
  EXPECT_TRUE(removed.ok()) << removed;
  EXPECT_FALSE(FileExists(top));
}

TEST_F(RemoveTreeTest, NamesThatItWouldGiveItselfAreNoObstacle) {
  const std::string top = root_ + "/names";
  for (int i = 1; i < 20; ++i)
    std::filesystem::create_directories(absl::StrCat(top, "/.", i, "/.", i + 1, "/full/deep"));
  Write(top + "/.3/.4/full/.1");
  EXPECT_TRUE(RemoveTree(top).ok());
  EXPECT_FALSE(FileExists(top));
}

TEST_F(RemoveTreeTest, LinksAreRemovedAndNotFollowed) {
  const std::string kept = root_ + "/kept";
  std::filesystem::create_directories(kept);
  Write(kept + "/file");
  const std::string top = root_ + "/links";
  std::filesystem::create_directories(top + "/below");
  std::filesystem::create_symlink(kept, top + "/below/link");
  ASSERT_EQ(mkfifo((top + "/below/pipe").c_str(), 0600), 0);
  EXPECT_TRUE(RemoveTree(top).ok());
  EXPECT_FALSE(FileExists(top));
  EXPECT_TRUE(FileExists(kept + "/file"));
  std::filesystem::create_symlink(kept, top);
  EXPECT_TRUE(RemoveTree(top).ok());
  EXPECT_TRUE(FileExists(kept + "/file")) << "the link itself is what was named";
}

TEST_F(RemoveTreeTest, AFileAndWhatIsAbsentAreFine) {
  Write(root_ + "/file");
  EXPECT_TRUE(RemoveTree(root_ + "/file").ok());
  EXPECT_TRUE(RemoveTree(root_ + "/file").ok());
  EXPECT_TRUE(RemoveTree(root_ + "/no/such/path").ok());
}

TEST_F(RemoveTreeTest, TwoWhoRemoveTheSameTreeAtOnceBothSucceed) {
  for (int round = 0; round < 50; ++round) {
    const std::string top = absl::StrCat(root_, "/", round);
    for (int i = 0; i < 30; ++i) {
      std::filesystem::create_directories(absl::StrCat(top, "/", i, "/a/b"));
      Write(absl::StrCat(top, "/", i, "/a/b/file"));
    }
    absl::Status other;
    std::jthread remover([&] { other = RemoveTree(top); });
    const absl::Status own = RemoveTree(top);
    remover.join();
    ASSERT_TRUE(own.ok()) << own;
    ASSERT_TRUE(other.ok()) << other;
    ASSERT_FALSE(FileExists(top));
  }
}

}  // namespace
}  // namespace riseml
