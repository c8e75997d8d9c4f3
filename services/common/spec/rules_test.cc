// The rules of the schema beyond types: warnings, variables, secrets, defaults.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/base/status.h"
#include "services/common/spec/parse.h"
#include "services/common/spec/spec_text.h"

namespace riseml::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

TEST(Schema, AnErrorIsOneSentenceAndAPath) {
  EXPECT_EQ(ParseSpec(WithTrain("resources: {gpus: 1.5}"), "a/riseml.yml").status().message(),
            "a/riseml.yml:3:21: 1.5 is not of type 'integer': write whole GPUs, gpus: 1, or leave the key out\n"
            "On path: \"train: resources: gpus:\"");
}

TEST(Schema, DeployIsIgnoredWithAWarning) {
  const auto spec = ParseSpec("project: ab\ndeploy: {x: y}\n", "f");
  ASSERT_TRUE(spec.ok());
  EXPECT_THAT(spec->warnings, ElementsAre("f:2:9: 'deploy' is ignored: only 'train' can be run"));
  EXPECT_THAT(ParseSpec("project: ab\ndeploy: ~\n", "f")->warnings, IsEmpty());
}

TEST(Schema, TensorFlowWithoutFrameworkIsIgnoredWithAWarning) {
  const auto spec = ParseSpec(WithTrain("tensorflow: {version: 1.5.0}"), "f");
  ASSERT_TRUE(spec.ok());
  EXPECT_FALSE(spec->train->tensorflow.has_value());
  EXPECT_THAT(spec->warnings, ElementsAre(HasSubstr("'tensorflow' is ignored without framework")));
}

TEST(Schema, SharedVariablesAreWarnedAbout) {
  const auto spec = ParseSpec(WithTrain("run: x {{a-b}} {{a_b}} {{lang}} {{output-dir}}\n"
                                        "  parameters: {a-b: 1, a_b: 2, lang: [de, en], output-dir: 3}"),
                              "f");
  ASSERT_TRUE(spec.ok());
  EXPECT_THAT(spec->warnings, ElementsAre(HasSubstr("'a-b' and 'a_b' share the environment variable A_B"),
                                          HasSubstr("LANG belongs to the job: write {{lang}}"),
                                          HasSubstr("OUTPUT_DIR belongs to the job")));
}

std::vector<std::string> WarningsOf(absl::string_view train) {
  const auto spec = ParseSpec(WithTrain(train), "f");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? spec->warnings : std::vector<std::string>();
}

TEST(Schema, Case05ParametersThatNothingUsesAreWarnedAbout) {
  EXPECT_THAT(WarningsOf("run: python a.py\n  parameters: {lr: [1, 2]}"),
              ElementsAre(HasSubstr("f:3:8: no command uses the parameter 'lr': write {{lr}} in 'run'")));
  EXPECT_THAT(WarningsOf("run: 'python a.py --lr {{ lr }}'\n  parameters: {lr: [1, 2]}"), IsEmpty());
  EXPECT_THAT(WarningsOf("run: python a.py --lr $LR\n  parameters: {lr: [1, 2]}"), IsEmpty());
  EXPECT_THAT(WarningsOf("run: python a.py\n  parameters: {lr: [1, 2]}\n  env: {RATE: '{{lr}}'}"), IsEmpty());
}

TEST(Schema, PlaceholdersOfOtherSystemsAndPlacesAreRefused) {
  const auto refused = [](absl::string_view train) {
    return std::string(ParseSpec(WithTrain(train), "f").status().message());
  };
  EXPECT_THAT(refused("run: 'echo lr=${{ lr }}'\n  parameters: {lr: [1, 2]}"),
              HasSubstr("write {{ lr }} without the $"));
  EXPECT_THAT(refused("run: a {{v}}\n  install: pip install six=={{v}}\n  parameters: {v: [1, 2]}"),
              HasSubstr("f:4:12: install steps get no parameters"));
}

TEST(Schema, Case03FailuresThatAndListsHideAreWarnedAbout) {
  EXPECT_THAT(WarningsOf("run: \"python a.py && echo done\\necho end\""),
              ElementsAre(HasSubstr("if `python a.py` fails, the shell goes on with the next line")));
  for (const char* run : {"[ -f x ] && cat x\\necho end", "python a.py && echo done", "a && b || exit 1\\nc",
                          "echo 'x && y'\\necho end", "a && \\nb\\nc", "if a && b; then c; fi\\nd"})
    EXPECT_THAT(WarningsOf(absl::StrCat("run: \"", run, "\"")), IsEmpty()) << run;
}

TEST(Schema, ValuesThatTheShellWouldChangeAreWarnedAbout) {
  const auto warnings = [](absl::string_view run, absl::string_view value) {
    return WarningsOf(absl::StrCat("run: |\n    ", run, "\n  parameters: {x: [", value, "]}"));
  };
  EXPECT_THAT(warnings("a --opt {{x}}", "'two words'"), ElementsAre(HasSubstr("write \"$X\" instead of {{x}}")));
  EXPECT_THAT(warnings("a --opt '{{x}}'", "'two words'"), IsEmpty());
  EXPECT_THAT(warnings("a --opt \"{{x}}\"", "'two; words'"), IsEmpty());
  EXPECT_THAT(warnings("a --opt \"{{x}}\"", "'costs $5'"), ElementsAre(HasSubstr("the shell interprets")));
  EXPECT_THAT(warnings("a {{x}}", "'a;b'"), ElementsAre(HasSubstr("the value a;b of {{x}}")));
  EXPECT_THAT(warnings("a {{x}}", "[64, 64]"), IsEmpty());
  EXPECT_THAT(warnings("a --lr {{x}}", "-1e-3"), ElementsAre(HasSubstr("looks like an option: write --OPTION={{x}}")));
  EXPECT_THAT(warnings("a --lr={{x}}", "-1e-3"), IsEmpty());
}

TEST(Schema, ForgottenParametersAreWarnedAbout) {
  EXPECT_THAT(WarningsOf("run: 'a --lr {{lr}}'"), ElementsAre(HasSubstr("{{lr}} is text, since the file declares no")));
  EXPECT_THAT(WarningsOf("run: 'docker ps --format \"{{json}}\"'"), IsEmpty());
}

TEST(Schema, Case08VariablesOfTheCommands) {
  const auto spec = ParseSpec(WithTrain("env: {WANDB_MODE: offline, N: 0x10, ON: true, RATE: '{{ lr }}'}\n"
                                        "  parameters: {lr: [1, 2]}"),
                              "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_THAT(spec->train->env, ElementsAre(Pair("N", "0x10"), Pair("ON", "True"), Pair("RATE", "{{ lr }}"),
                                            Pair("WANDB_MODE", "offline")));
  EXPECT_TRUE(ParseSpec(WithTrain("env: {PYTHONPATH: src, LD_LIBRARY_PATH: /opt/lib}"), "f").ok());
  EXPECT_TRUE(ParseSpec(WithTrain("env: ~"), "f").ok());
}

TEST(Schema, Case08VariablesThatCannotBeSetAreRefused) {
  const auto says = [](absl::string_view line) {
    return std::string(ParseSpec(WithTrain(line), "f").status().message());
  };
  EXPECT_THAT(says("env: {PATH: /x}"), HasSubstr("every job gets its own PATH"));
  EXPECT_THAT(says("env: {RISEML_SOCKET: /x}"), HasSubstr("every job gets its own RISEML_SOCKET"));
  EXPECT_THAT(says("env: {a-b: 1}"), HasSubstr("'a-b' cannot be a variable"));
  EXPECT_THAT(says("env: {A: ~}"), HasSubstr("riseml train --env NAME"));
  EXPECT_THAT(says("env: {A: [1]}"), HasSubstr("write names with their values"));
  EXPECT_THAT(says("env: [A=1]"), HasSubstr("write names with their values"));
  EXPECT_THAT(says("env: {LR: 1}\n  parameters: {lr: [1, 2]}"), HasSubstr("the parameter 'lr' sets the variable LR"));
  EXPECT_THAT(says("env: {A: '{{x}}'}\n  parameters: {lr: [1, 2]}"), HasSubstr("{{x}} names no parameter"));
}

TEST(Schema, Case08SecretsAreNamed) {
  const auto spec = ParseSpec(WithTrain("secrets: [WANDB_API_KEY, GCP_KEY: file]"), "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  ASSERT_EQ(spec->train->secrets.size(), 2u);
  EXPECT_EQ(spec->train->secrets[0].name, "GCP_KEY");
  EXPECT_TRUE(spec->train->secrets[0].as_file);
  EXPECT_EQ(spec->train->secrets[1].name, "WANDB_API_KEY");
  EXPECT_FALSE(spec->train->secrets[1].as_file);
  const auto says = [](absl::string_view line) {
    return std::string(ParseSpec(WithTrain(line), "f").status().message());
  };
  EXPECT_THAT(says("secrets: {A: b}"), HasSubstr("write the names of secrets"));
  EXPECT_THAT(says("secrets: [A: value]"), HasSubstr("is not a secret: write the names of secrets"));
  EXPECT_THAT(says("secrets: [PATH]"), HasSubstr("every job gets its own PATH"));
  EXPECT_THAT(says("secrets: [A, A]"), HasSubstr("the variable A is set twice"));
  EXPECT_THAT(says("secrets: [A]\n  env: {A: 1}"), HasSubstr("the variable A is set twice"));
}

TEST(Schema, RetriesAreANumberOrOneForEachKindOfFailure) {
  const auto read = [](absl::string_view line) {
    const auto spec = ParseSpec(WithTrain(line), "f");
    EXPECT_TRUE(spec.ok()) << spec.status();
    return spec.ok() ? spec->train->retries : Retries{-1, -1};
  };
  EXPECT_EQ(read("retries: 3"), (Retries{.infrastructure = 3, .error = 0}));
  EXPECT_EQ(read("retries: {infrastructure: 3, error: 1}"), (Retries{.infrastructure = 3, .error = 1}));
  EXPECT_EQ(read("retries: {}"), Retries());
  EXPECT_EQ(read("concurrency: 1"), Retries()) << "off, as ever";
}

TEST(Schema, SchedulingSaysWhenAndWhereJobsRun) {
  const auto spec = ParseSpec(
      WithTrain("queue: default\n  priority: -7\n  node_selector: {gpu: a100, cores: 8}\n  max_run_time: 2h30m"), "f");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->train->queue, "default");
  EXPECT_EQ(spec->train->priority, -7);
  EXPECT_EQ(spec->train->node_selector, (std::map<std::string, std::string>{{"gpu", "a100"}, {"cores", "8"}}));
  EXPECT_EQ(spec->train->max_run_time, absl::Minutes(150));
}

TEST(Schema, DefaultsAreFilledIn) {
  const auto spec = ParseSpec(WithTrain("install: a"), "f");
  ASSERT_TRUE(spec.ok());
  const Train& train = *spec->train;
  EXPECT_EQ(train.resources, Resources{});
  EXPECT_THAT(train.install, ElementsAre("a"));
  EXPECT_THAT(train.run, ElementsAre("a"));
  EXPECT_EQ(train.framework, "");
  EXPECT_EQ(train.concurrency, 1);
  EXPECT_EQ(train.priority, 0);
  EXPECT_FALSE(train.max_run_time.has_value());
  EXPECT_FALSE(train.has_parameters);
  EXPECT_TRUE(train.image_given);
  EXPECT_THAT(spec->warnings, IsEmpty());
}

TEST(Schema, AnEmptyInstallInstallsNothing) {
  EXPECT_THAT(ParseSpec(WithTrain("install: ''"), "f")->train->install, IsEmpty());
  EXPECT_THAT(ParseSpec(WithTrain("install: []"), "f")->train->install, IsEmpty());
}

}  // namespace
}  // namespace riseml::spec
