#include "services/builder/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace riseml::builder {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

TEST(FilesOf, ValueOfAnOptionIsAFile) {
  EXPECT_THAT(FilesOf("pip install -r requirements.txt").paths, Contains("requirements.txt"));
  EXPECT_THAT(FilesOf("pip install -rrequirements.txt").paths, Contains("requirements.txt"));
  EXPECT_THAT(FilesOf("pip install --requirement=sub/r.txt -c constraints.txt").paths,
              testing::IsSupersetOf({"sub/r.txt", "constraints.txt"}));
  EXPECT_FALSE(FilesOf("pip install -r requirements.txt").whole_tree);
}

TEST(FilesOf, PathsAreNormalisedAndEachNamedOnce) {
  EXPECT_THAT(FilesOf("sh ./a//b.sh a/b.sh x/../a/b.sh").paths, ElementsAre("a/b.sh", "sh"));
}

TEST(FilesOf, QuotesAreRemoved) {
  EXPECT_THAT(FilesOf("pip install -r 'my requirements.txt'").paths, Contains("my requirements.txt"));
  EXPECT_THAT(FilesOf("pip install -r my\\ requirements.txt").paths, Contains("my requirements.txt"));
}

TEST(FilesOf, AbsolutePathsUrlsAndOptionsAreNoFiles) {
  EXPECT_THAT(FilesOf("/usr/bin/pip --no-cache-dir https://x.org/y.whl ~/z git+https://x.org/y ../outside").paths,
              IsEmpty());
}

TEST(FilesOf, TheProjectItselfIsTheWholeTree) {
  for (const char* step :
       {"pip install .", "pip install -e .", "pip install '.[dev]'", "pip install ./", "python setup.py install",
        "cd sub && pip install -r r.txt", "pip install *.whl", "pip install -r $FILE"})
    EXPECT_TRUE(FilesOf(step).whole_tree) << step;
}

TEST(FilesOf, PathWithASlashMayBeADirectory) {
  EXPECT_THAT(FilesOf("pip install ./package").paths_or_directories, ElementsAre("package"));
  EXPECT_THAT(FilesOf("pip install numpy").paths_or_directories, IsEmpty());
}

TEST(SystemPackageTool, IsFoundWhereACommandStarts) {
  EXPECT_EQ(SystemPackageTool("apt-get install -y gcc"), "apt-get");
  EXPECT_EQ(SystemPackageTool("pip install x && sudo -E apt install gcc"), "apt");
  EXPECT_EQ(SystemPackageTool("DEBIAN_FRONTEND=noninteractive /usr/bin/apt-get update"), "apt-get");
  EXPECT_EQ(SystemPackageTool("(dpkg -i x.deb)"), "dpkg");
  EXPECT_EQ(SystemPackageTool("conda install numpy"), "conda");
}

TEST(SystemPackageTool, IsNotFoundAmongArguments) {
  EXPECT_EQ(SystemPackageTool("pip install apt"), "");
  EXPECT_EQ(SystemPackageTool("echo 'apt-get install'; pip install conda"), "");
  EXPECT_EQ(SystemPackageTool(""), "");
}

}  // namespace
}  // namespace riseml::builder
