#include "cli/client/project.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "services/gitsync/testing/test_directory.h"

namespace riseml::cli {
namespace {

// Stands in a directory of its own, with another one as home.
class ProjectTest : public ::testing::Test {
 protected:
  ProjectTest() : before_(std::filesystem::current_path()), home_before_(getenv("HOME") ? getenv("HOME") : "") {
    setenv("HOME", tree_.File("home").c_str(), 1);
    for (const char* path : {"home/p/src/deep", "home/q/configs"})
      std::filesystem::create_directories(tree_.File(path));
  }
  ~ProjectTest() override {
    std::filesystem::current_path(before_);
    setenv("HOME", home_before_.c_str(), 1);
  }
  std::string Found(const char* directory) const {
    std::filesystem::current_path(tree_.File(directory));
    return FindConfig();
  }
  std::string Root(const char* config) const {
    std::filesystem::current_path(tree_.File("home"));
    const auto root = ProjectRoot(config);
    return root.ok() ? std::filesystem::relative(*root, std::filesystem::canonical(tree_.path())).string() : "error";
  }

  gitsync::TestDirectory tree_;
  const std::filesystem::path before_;
  const std::string home_before_;
};

TEST_F(ProjectTest, Case17TheConfigurationIsLookedForUpwards) {
  EXPECT_EQ(Found("home/p/src/deep"), "");
  tree_.Write("home/p/riseml.yml", "");
  EXPECT_EQ(Found("home/p"), "riseml.yml");
  EXPECT_EQ(Found("home/p/src/deep"), "../../riseml.yml");
  EXPECT_EQ(ConfigPath("riseml.yml"), "../../riseml.yml");
  EXPECT_EQ(ConfigPath("other.yml"), "other.yml");
  tree_.Write("home/p/src/.git/HEAD", "");
  EXPECT_EQ(Found("home/p/src/deep"), "");
}

TEST_F(ProjectTest, Case17TheHomeDirectoryIsNoProjectOfOthers) {
  tree_.Write("home/riseml.yml", "");
  tree_.Write("home/.git/HEAD", "");
  EXPECT_EQ(Found("home"), "riseml.yml");
  EXPECT_EQ(Found("home/p"), "");
  EXPECT_EQ(Root("q/configs/x.yml"), "home/q/configs");
  EXPECT_EQ(Root("x.yml"), "home");
}

TEST_F(ProjectTest, Case17TheRootIsTheNearestDirectoryWithAMark) {
  EXPECT_EQ(Root("q/configs/x.yml"), "home/q/configs");
  tree_.Write("home/q/.git", "gitdir: x");
  EXPECT_EQ(Root("q/configs/x.yml"), "home/q");
  tree_.Write("home/q/configs/riseml.yml", "");
  EXPECT_EQ(Root("q/configs/x.yml"), "home/q/configs");
  EXPECT_EQ(Root("absent/x.yml"), "error");
  EXPECT_EQ(Root("q/configs/riseml-experiment.yml"), "home") << "RepoR7: where the user stands";
}

}  // namespace
}  // namespace riseml::cli
