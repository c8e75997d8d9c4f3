#include "cli/client/follow_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace riseml::cli {
namespace {

using Action = FollowRoutes::Action;
using testing::AllOf;
using testing::HasSubstr;

v1::LogOwner Owner(const std::string& uid, const std::string& address) {
  v1::LogOwner owner;
  owner.set_job_uid(uid);
  owner.set_attempt(1);
  owner.set_job("users/paul/experiments/5/jobs/train");
  owner.set_address(address);
  return owner;
}

TEST(FollowRoutes, AnOwnerIsCalledOnce) {
  FollowRoutes routes("a");
  EXPECT_EQ(*routes.Redirect("a", Owner("1", "b")), Action::kCall);
  routes.Began("b");
  EXPECT_EQ(*routes.Redirect("a", Owner("2", "b")), Action::kNothing);
  EXPECT_EQ(*routes.Redirect("a", Owner("3", "c")), Action::kCall);
  routes.Ended("b");
  EXPECT_EQ(*routes.Redirect("a", Owner("4", "b")), Action::kCall);
}

TEST(FollowRoutes, WhatIsSaidAgainAfterAReconnectIsNoHop) {
  FollowRoutes routes("a");
  EXPECT_EQ(*routes.Redirect("a", Owner("1", "b")), Action::kCall);
  routes.Began("b");
  for (int i = 0; i < 100; ++i) {
    routes.Began("a");
    EXPECT_EQ(*routes.Redirect("a", Owner("1", "b")), Action::kNothing);
  }
}

TEST(FollowRoutes, AStreamThatComesBackIsAskedForAgain) {
  FollowRoutes routes("a");
  EXPECT_EQ(*routes.Redirect("a", Owner("1", "b")), Action::kCall);
  routes.Began("b");
  EXPECT_EQ(*routes.Redirect("b", Owner("1", "a")), Action::kCallAgain);
  routes.Began("a");
  EXPECT_EQ(*routes.Redirect("b", Owner("1", "a")), Action::kNothing);
}

TEST(FollowRoutes, ACircleEndsUnlessTheStreamComes) {
  FollowRoutes routes("a");
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(routes.Redirect("a", Owner("1", "b")).ok());
    ASSERT_TRUE(routes.Redirect("b", Owner("1", "a")).ok());
    routes.Progress("1", 1);
  }
  absl::Status status;
  for (int i = 0; i < 4 && status.ok(); ++i) {
    status = routes.Redirect("a", Owner("1", "b")).status();
    if (status.ok()) status = routes.Redirect("b", Owner("1", "a")).status();
  }
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("jobs/train"), HasSubstr("at a"), HasSubstr("at b")));
}

TEST(FollowRoutes, AStreamOfALostOwnerIsAskedOfTheFirstAgainAsLongAsItTakes) {
  FollowRoutes routes("a");
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(*routes.Redirect("a", Owner("1", "b")), Action::kCall);
    routes.Began("b");
    EXPECT_EQ(routes.Lost("b"), Action::kCallAgain);
    routes.Began("a");
  }
  EXPECT_EQ(*routes.Redirect("a", Owner("1", "c")), Action::kCall);
  routes.Began("c");
  routes.Ended("a");
  EXPECT_EQ(routes.Lost("c"), Action::kCall) << "the first call had ended";
}

TEST(FollowRoutes, AnOwnerWithoutAnAddressOrThatNamesItselfIsAnError) {
  FollowRoutes routes("a");
  EXPECT_FALSE(routes.Redirect("a", Owner("1", "")).ok());
  EXPECT_FALSE(routes.Redirect("a", Owner("1", "a")).ok());
}

}  // namespace
}  // namespace riseml::cli
