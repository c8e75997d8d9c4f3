// The stored configuration says what ran, and runs it again.
#include "services/api/data/config_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/common/spec/parse.h"

namespace riseml::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kCommit[] = "8e82663000000000000000000000000000000000";

v1::TrainSpec SpecOf(absl::string_view text) {
  const auto spec = spec::ParseSpec(text, "f");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return ToTrainSpec(*spec->train);
}

TEST(ConfigCopy, RepoR7ChildHasItsOwnValuesAndCanBeTrainedAgain) {
  const v1::TrainSpec spec = SpecOf(
      "project: own-r7\ntrain:\n  image: python:3.11\n  resources: {cpus: 0.5, gpus: 0}\n  install: pip install six\n"
      "  parameters: {lr: [0.1, 0.2], name: ['a \"b\"']}\n  env: {RATE: '{{ lr }}x'}\n"
      "  run:\n    - |\n      echo {{lr}}\n\n      cat <<E\n        {{{{lr}}}} {{name}}\n      E\n    - 'x: {{lr}} # "
      "no'\n");
  const Parameters values = {{"lr", "0.2"}, {"name", "a \"b\""}};
  const std::string text = ConfigText({spec, {"paul", 30, 2}, "own-r7", kCommit, values});
  EXPECT_THAT(text, HasSubstr("# Configuration of experiment 30.2 of paul"));
  EXPECT_THAT(text, HasSubstr("# Revision: 8e82663"));
  EXPECT_THAT(text, HasSubstr("# Parameter lr: \"0.2\""));
  const v1::TrainSpec again = SpecOf(text);
  EXPECT_FALSE(again.is_set());
  ASSERT_EQ(again.run_size(), 2);
  EXPECT_EQ(again.run(0), "echo 0.2\n\ncat <<E\n  {{lr}} a \"b\"\nE\n");
  EXPECT_EQ(again.run(1), "x: 0.2 # no");
  EXPECT_EQ(again.install(0), "pip install six");
  EXPECT_EQ(again.env().at("RATE"), "0.2x");
  EXPECT_EQ(again.env().at("LR"), "0.2");
  EXPECT_EQ(again.resources().cpus(), 0.5);
  EXPECT_TRUE(again.resources().has_gpus());
  EXPECT_FALSE(again.resources().has_memory_bytes());
}

TEST(ConfigCopy, SingleExperimentKeepsItsText) {
  const v1::TrainSpec spec = SpecOf(
      "project: ab\ntrain:\n  framework: tensorflow\n  tensorflow: {version: 2.15.0, tensorboard: false}\n"
      "  resources: {}\n  run: \"printf 'tab\\there {{x}}'\"\n");
  const v1::TrainSpec again = SpecOf(ConfigText({spec, {"paul", 3, 0}, "ab", kCommit, {}}));
  EXPECT_EQ(again.SerializeAsString(), spec.SerializeAsString());
}

TEST(ConfigCopy, RepoR7NamesTheCommitOfTheUser) {
  v1::TrainSpec spec = SpecOf("project: ab\ntrain: {image: x, resources: {}, run: a}\n");
  EXPECT_THAT(ConfigText({spec, {"paul", 3, 0}, "ab", kCommit, {}}), Not(HasSubstr("Your commit")));
  spec.mutable_git()->set_commit("1a2b3c4000000000000000000000000000000000");
  spec.mutable_git()->set_branch("main");
  spec.mutable_git()->set_dirty(true);
  EXPECT_THAT(
      ConfigText({spec, {"paul", 3, 0}, "ab", kCommit, {}}),
      HasSubstr("\n# Your commit: 1a2b3c4000000000000000000000000000000000 on \"main\", with changes that are not "
                "committed\n"));
}

TEST(ConfigCopy, Case08PasswordsInUrlsAreHidden) {
  const v1::TrainSpec spec = SpecOf(
      "project: ab\ntrain:\n  image: x\n  resources: {}\n  install: pip install --index-url https://me:s3cr3t@h/simple "
      "six\n"
      "  env: {INDEX: 'https://me:s3cr3t@h'}\n  run: curl ftp://me:s3cr3t@h\n");
  const std::string text = ConfigText({spec, {"paul", 3, 0}, "ab", kCommit, {{"url", "https://me:s3cr3t@h/x"}}});
  EXPECT_THAT(text, Not(HasSubstr("s3cr3t")));
  EXPECT_THAT(text, HasSubstr("# Passwords in URLs are hidden as *: write them again before it runs.\n"));
  EXPECT_TRUE(spec::ParseSpec(text, "f").ok());
}

TEST(ConfigCopy, RepoR4InputsAreNamedWithTheirOwner) {
  v1::TrainSpec spec = SpecOf("project: ab\ntrain: {image: x, resources: {}, run: a}\n");
  v1::Input* const input = spec.add_inputs();
  input->set_name("model");
  input->set_experiment("users/paul/experiments/26.10");
  const auto again = spec::ParseSpec(ConfigText({spec, {"ada", 3, 0}, "ab", kCommit, {}}), "f");
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_EQ(again->train->inputs.size(), 1u);
  EXPECT_EQ(again->train->inputs[0].experiment, "paul.26.10");
}

}  // namespace
}  // namespace riseml::api
