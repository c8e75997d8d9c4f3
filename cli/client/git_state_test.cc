#include "cli/client/git_state.h"

#include <gtest/gtest.h>

namespace riseml::cli {
namespace {

constexpr char kCommit[] = "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b";

TEST(GitState, Case15DescriptionIsTakenApart) {
  const v1::GitState tagged = ParseDescribe(std::string("v1.0-rc1-3-g") + kCommit + "-dirty");
  EXPECT_EQ(tagged.commit(), kCommit);
  EXPECT_EQ(tagged.describe(), "v1.0-rc1-3-g1a2b3c4-dirty");
  EXPECT_TRUE(tagged.dirty());
  const v1::GitState plain = ParseDescribe(kCommit);
  EXPECT_EQ(plain.commit(), kCommit);
  EXPECT_EQ(plain.describe(), "1a2b3c4");
  EXPECT_FALSE(plain.dirty());
  EXPECT_EQ(ParseDescribe("odd").commit(), "");
}

TEST(GitState, PackageNameOfAProject) {
  EXPECT_EQ(PackageName("[build-system]\nname = \"no\"\n[project]\nversion = \"1\"\nname = \"mypkg\" # x\n"), "mypkg");
  EXPECT_EQ(PackageName("[metadata]\nname=my-pkg\n"), "my-pkg");
  EXPECT_EQ(PackageName("[project]\nnames = [1]\n"), "");
  EXPECT_EQ(PackageName("[tool.poetry]\nname = 'x'\n"), "");
}

}  // namespace
}  // namespace riseml::cli
