// Files of jobs: what is opened when links and pipes lie in their place.
#include "services/common/base/files/beneath.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "services/common/base/files/environment_layout.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"

namespace riseml {
namespace {

namespace fs = std::filesystem;

class HostileFilesTest : public ::testing::Test {
 protected:
  HostileFilesTest() {
    char name[] = "/tmp/riseml-hostile-XXXXXX";
    root_ = mkdtemp(name);
    fs::create_directories(root_ + "/top/inner");
    EXPECT_TRUE(WriteFileQuickly(root_ + "/outside", "secret").ok());
    EXPECT_TRUE(WriteFileQuickly(root_ + "/top/inner/file", "own").ok());
    fs::create_symlink("..", root_ + "/top/up");
    fs::create_symlink(root_ + "/outside", root_ + "/top/link");
    EXPECT_EQ(mkfifo((root_ + "/top/pipe").c_str(), 0600), 0);
    top_ = *OpenFile(root_ + "/top", O_RDONLY | O_DIRECTORY);
  }
  ~HostileFilesTest() override { fs::remove_all(root_); }

  std::string root_;
  UniqueFd top_;
};

TEST_F(HostileFilesTest, NoLinkIsFollowedWhereverItIsInThePath) {
  EXPECT_TRUE(OpenBeneath(top_.get(), "inner/file", O_RDONLY).ok());
  for (const char* path : {"up/outside", "link", "../outside", "/etc/passwd"})
    EXPECT_FALSE(OpenBeneath(top_.get(), path, O_RDONLY).ok()) << path;
  EXPECT_FALSE(RemoveBeneath(top_.get(), "up/outside").ok());
  EXPECT_TRUE(FileExists(root_ + "/outside"));
  EXPECT_TRUE(RemoveBeneath(top_.get(), "link").ok()) << "the link itself";
  EXPECT_TRUE(RemoveBeneath(top_.get(), "inner/file").ok());
  EXPECT_TRUE(RemoveBeneath(top_.get(), "inner/file").ok());
  EXPECT_FALSE(FileExists(root_ + "/top/inner/file"));
  EXPECT_TRUE(FileExists(root_ + "/outside"));
}

TEST_F(HostileFilesTest, PlainFilesAreReadAndNothingElseIs) {
  EXPECT_EQ(*ReadPlainFile(root_ + "/outside", 100), "secret");
  for (const char* path : {"/top/link", "/top/pipe", "/top/inner", "/top/absent"})
    EXPECT_TRUE(HasReason(ReadPlainFile(root_ + path, 100).status(), Reason::kNotFound)) << path;
  EXPECT_TRUE(HasReason(ReadPlainFile(root_ + "/outside", 3).status(), Reason::kLimitExceeded));
}

TEST_F(HostileFilesTest, OnlyADirectoryIsTakenForOne) {
  EXPECT_TRUE(MakePlainDirectory(root_ + "/new").ok());
  EXPECT_TRUE(MakePlainDirectory(root_ + "/top").ok());
  for (const char* path : {"/top/up", "/top/link", "/outside"}) EXPECT_FALSE(MakePlainDirectory(root_ + path).ok());
}

TEST(EnvironmentLayout, SealedEnvironmentsLieBesideWork) {
  EXPECT_EQ(PathOfEnvironment("/e", "u", "k"), "/e/u/work/k");
  EXPECT_EQ(SealedPathOf("/e/u/work/k"), "/e/u/k");
  for (const char* path : {"/e/u/k", "k", "/e/u/work/", "/e/u/homework/k"}) EXPECT_FALSE(SealedPathOf(path)) << path;
}

}  // namespace
}  // namespace riseml
