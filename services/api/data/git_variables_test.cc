#include "services/api/data/git_variables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace riseml::api {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Pair;

v1::GitState State(const std::string& describe, bool dirty = false) {
  v1::GitState state;
  state.set_commit("1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d5e6f1a2b");
  state.set_describe(describe);
  state.set_dirty(dirty);
  return state;
}

TEST(GitVariables, Case15VersionsOfDescriptions) {
  EXPECT_EQ(VersionOf(State("v1.0-0-g1a2b3c4")), "1.0");
  EXPECT_EQ(VersionOf(State("v1.0-0-g1a2b3c4-dirty", true)), "1.0+g1a2b3c4.dirty");
  EXPECT_EQ(VersionOf(State("v1.0-rc1-3-g1a2b3c4")), "1.0rc1.post3+g1a2b3c4");
  EXPECT_EQ(VersionOf(State("release-2.1-12-g1a2b3c4-dirty", true)), "2.1.post12+g1a2b3c4.dirty");
  EXPECT_EQ(VersionOf(State("1a2b3c4")), "0.0+g1a2b3c4");
  EXPECT_EQ(VersionOf(State("nightly-5-g1a2b3c4")), "0.0+g1a2b3c4");
}

TEST(GitVariables, Case15JobsKnowTheRepository) {
  v1::GitState state = State("v1.0-0-g1a2b3c4");
  state.set_branch("main");
  EXPECT_THAT(GitVariables(state), Contains(Pair("RISEML_GIT_BRANCH", "main")));
  EXPECT_THAT(GitVariables(state), Contains(Pair("SETUPTOOLS_SCM_PRETEND_VERSION", "1.0")));
  state.set_package("my-pkg.x");
  EXPECT_THAT(GitVariables(state), Contains(Pair("SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_PKG_X", "1.0")));
  EXPECT_THAT(GitVariables(v1::GitState()), IsEmpty());
}

}  // namespace
}  // namespace riseml::api
