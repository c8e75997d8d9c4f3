// Outputs of experiments as inputs of other ones: whose, when, and what is recorded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/status.h"

namespace riseml::api {
namespace {

using ::testing::HasSubstr;

class InputsTest : public ApiTestBase {
 protected:
  static std::string Reading(absl::string_view id) {
    return absl::StrCat("project: digits\ntrain: {image: x, resources: {}, run: a, inputs: {model: ", id, "}}\n");
  }
  v1::Experiment Finished(const std::string& yaml) {
    const v1::Experiment made = Create(yaml);
    api_->RunToEnd(made.jobs(0).uid());
    return made;
  }
};

TEST_F(InputsTest, RepoR4InputIsRecorded) {
  const v1::Experiment source = Finished(kSingle);
  const v1::Experiment reader = Create(Reading("1"));
  ASSERT_EQ(reader.spec().inputs_size(), 1);
  EXPECT_EQ(reader.spec().inputs(0).experiment(), source.name());
  EXPECT_EQ(reader.spec().inputs(0).uid(), source.uid());
  EXPECT_EQ(Get(reader.name()).spec().inputs(0).project(), absl::StrCat("users/", user_, "/projects/digits"));
}

TEST_F(InputsTest, RepoR4InputOfTheRequestWinsOverThatOfTheFile) {
  Finished(kSingle);
  const v1::Experiment second = Finished(kSingle);
  v1::CreateExperimentRequest request = api_->CreateRequest(user_, Reading("1"));
  (*request.mutable_inputs())["model"] = second.name();
  const auto made = api_->Create(key_, request);
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_EQ(made->spec().inputs_size(), 1);
  EXPECT_EQ(made->spec().inputs(0).experiment(), second.name());
}

TEST_F(InputsTest, RepoR4WhatRunsIsRefused) {
  const v1::Experiment running = Create(kSingle);
  const absl::Status status = api_->Create(key_, user_, Reading("1")).status();
  EXPECT_TRUE(HasReason(status, Reason::kExperimentRuns)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("input model: experiment 1 is PENDING and still writes"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("riseml wait 1"));
}

TEST_F(InputsTest, RepoR4OthersOutputsLookAbsent) {
  const std::string other = user_ + "x";
  const std::string other_key = api_->NewUser(other);
  api_->NewRevision(other, "digits");
  const auto theirs = api_->Create(other_key, other, kSingle);
  ASSERT_TRUE(theirs.ok()) << theirs.status();
  api_->RunToEnd(theirs->jobs(0).uid());
  const absl::Status foreign = api_->Create(key_, user_, Reading(absl::StrCat(other, ".1"))).status();
  const absl::Status absent = api_->Create(key_, user_, Reading(absl::StrCat(other, ".99"))).status();
  EXPECT_TRUE(absl::IsNotFound(foreign)) << foreign;
  const std::string says = absl::StrCat("input model: experiment .", other, ".");
  EXPECT_EQ(absl::StrCat(foreign.message()), says + "1 not found; `riseml status -a` lists yours");
  EXPECT_EQ(absl::StrCat(absent.message()), says + "99 not found; `riseml status -a` lists yours");
  EXPECT_TRUE(api_->Create(api_->admin_key(), user_, Reading(absl::StrCat(other, ".1"))).ok()) << "admins may";
}

}  // namespace
}  // namespace riseml::api
