// Parameters: values, order, placeholders, variables.
#include "services/common/spec/grid.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/base/status.h"
#include "services/common/spec/names.h"
#include "services/common/spec/parse.h"

namespace riseml::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

Train WithParameters(absl::string_view parameters) {
  auto spec = ParseSpec(
      absl::StrCat("project: ab\ntrain:\n  image: x\n  resources: {}\n  run: a\n  parameters: ", parameters, "\n"),
      "f");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec->train : Train{};
}

std::vector<std::string> ValuesOf(absl::string_view value) {
  const Train train = WithParameters(absl::StrCat("{a: ", value, "}"));
  return train.parameters.empty() ? std::vector<std::string>() : train.parameters[0].values;
}

TEST(Values, KeepTheTextTheyWereWrittenWith) {
  EXPECT_THAT(ValuesOf("1e-6"), ElementsAre("1e-6"));
  EXPECT_THAT(ValuesOf("[0.10, 1E5, 1.0, 010, 0x10, 1_000]"),
              ElementsAre("0.10", "1E5", "1.0", "010", "0x10", "1_000"));
  EXPECT_THAT(ValuesOf("[yes, \"1\", '']"), ElementsAre("yes", "1", ""));
  EXPECT_THAT(ValuesOf("'a b; c'"), ElementsAre("a b; c"));
}

TEST(Values, BooleansAreSpeltAsInPython) {
  EXPECT_THAT(ValuesOf("true"), ElementsAre("True"));
  EXPECT_THAT(ValuesOf("FALSE"), ElementsAre("False"));
}

TEST(Values, Case14ScalarsOfAllKindsCanBeSwept) {
  EXPECT_THAT(ValuesOf("[true, false]"), ElementsAre("True", "False"));
  EXPECT_THAT(ValuesOf("[3, ~]"), ElementsAre("3", "None"));
  EXPECT_THAT(ValuesOf("~"), ElementsAre("None"));
  EXPECT_THAT(ValuesOf("[1, adam, 0.5, true, null]"), ElementsAre("1", "adam", "0.5", "True", "None"));
  EXPECT_THAT(ValuesOf("[2018-01-01, x]"), ElementsAre("2018-01-01", "x"));
}

TEST(Values, Case14NestedListsAreJson) {
  EXPECT_THAT(ValuesOf("[[64, 64], [128]]"), ElementsAre("[64,64]", "[128]"));
  EXPECT_THAT(ValuesOf("[[a, 'b\"c', true, ~, 1.50, 0x10]]"), ElementsAre("[\"a\",\"b\\\"c\",true,null,1.50,16]"));
  EXPECT_THAT(ValuesOf("[{layers: [1, 2], name: x}]"), ElementsAre("{\"layers\":[1,2],\"name\":\"x\"}"));
  EXPECT_THAT(ValuesOf("[[], [.inf, .5]]"), ElementsAre("[]", "[\".inf\",0.5]"));
}

TEST(Ranges, IncludeTheirEnd) {
  EXPECT_THAT(ValuesOf("{range: {min: 3, max: 5, step: 1}}"), ElementsAre("3", "4", "5"));
  EXPECT_THAT(ValuesOf("{range: {min: 0, max: 0.3, step: 0.1}}"), ElementsAre("0", "0.1", "0.2", "0.3"));
  EXPECT_THAT(ValuesOf("{range: {min: 1, max: 6, step: 2}}"), ElementsAre("1", "3", "5"));
  EXPECT_THAT(ValuesOf("{range: {min: 5, max: 5, step: 7}}"), ElementsAre("5"));
  EXPECT_THAT(ValuesOf("{range: {min: -2, max: 2, step: 2}}"), ElementsAre("-2", "0", "2"));
}

TEST(Ranges, AreIntegersWhenMinAndStepAre) {
  EXPECT_THAT(ValuesOf("{range: {min: 1, max: 2.9, step: 1}}"), ElementsAre("1", "2"));
  EXPECT_THAT(ValuesOf("{range: {min: 1, max: 2, step: 0.5}}"), ElementsAre("1", "1.5", "2"));
  EXPECT_THAT(ValuesOf("{range: {min: 010, max: 0x0c, step: 1}}"), ElementsAre("10", "11", "12"));
}

TEST(Ranges, ShowNoRoundingErrors) {
  EXPECT_THAT(ValuesOf("{range: {min: -0.3, max: 0.3, step: 0.1}}"),
              ElementsAre("-0.3", "-0.2", "-0.1", "0", "0.1", "0.2", "0.3"));
  EXPECT_THAT(ValuesOf("{range: {min: 1e-6, max: 3e-6, step: 1e-6}}"), ElementsAre("1e-6", "2e-06", "3e-06"));
  EXPECT_THAT(ValuesOf("{range: {min: 1, max: 1000.3, step: 333.1}}"), ElementsAre("1", "334.1", "667.2", "1000.3"));
}

TEST(Ranges, MayHaveTenThousandValues) {
  EXPECT_THAT(ValuesOf("{range: {min: 1, max: 10000, step: 1}}"), SizeIs(10'000));
  EXPECT_THAT(ValuesOf("{range: {min: 0, max: 1, step: 0.0002}}"), SizeIs(5001));
}

TEST(Grid, NamesAreSortedAndTheLastVariesFastest) {
  const Train train = WithParameters("{lr-decay: [1e-6, 1e-7], epochs: [20, 30], lr: 0.0001}");
  EXPECT_EQ(CombinationCount(train), 4);
  EXPECT_THAT(Combinations(train),
              ElementsAre(ElementsAre(Pair("epochs", "20"), Pair("lr", "0.0001"), Pair("lr-decay", "1e-6")),
                          ElementsAre(Pair("epochs", "20"), Pair("lr", "0.0001"), Pair("lr-decay", "1e-7")),
                          ElementsAre(Pair("epochs", "30"), Pair("lr", "0.0001"), Pair("lr-decay", "1e-6")),
                          ElementsAre(Pair("epochs", "30"), Pair("lr", "0.0001"), Pair("lr-decay", "1e-7"))));
}

TEST(Grid, OneValueOfEachStillMakesASet) {
  const Train train = WithParameters("{a: 1, b: 2}");
  EXPECT_TRUE(train.has_parameters);
  EXPECT_THAT(Combinations(train), ElementsAre(ElementsAre(Pair("a", "1"), Pair("b", "2"))));
}

TEST(Grid, WithoutParametersThereIsOneEmptyCombination) {
  for (absl::string_view none : {"~", "{}"}) {
    const Train train = WithParameters(none);
    EXPECT_FALSE(train.has_parameters);
    EXPECT_EQ(CombinationCount(train), 1);
    EXPECT_THAT(Combinations(train), ElementsAre(IsEmpty()));
  }
}

TEST(Grid, HoldsTenThousandCombinations) {
  const Train train =
      WithParameters("{a: {range: {min: 1, max: 100, step: 1}}, b: {range: {min: 1, max: 100, step: 1}}}");
  EXPECT_EQ(CombinationCount(train), 10'000);
  const std::vector<Combination> all = Combinations(train);
  ASSERT_THAT(all, SizeIs(10'000));
  EXPECT_THAT(all.back(), ElementsAre(Pair("a", "100"), Pair("b", "100")));
}

TEST(Grid, CountOfAHugeGridSaturates) {
  Train train;
  for (int i = 0; i < 100; ++i) train.parameters.push_back({absl::StrCat("p", i), std::vector<std::string>(1000, "x")});
  EXPECT_EQ(CombinationCount(train), kMostCombinations + 1);
}

TEST(Substitute, ReplacesEveryPlaceholderAsItIs) {
  const Combination values = {{"a", "1 2; 3"}, {"b-c", "{{a}}"}, {"d_e", ""}};
  EXPECT_EQ(*Substitute("x {{a}}{{b-c}} {{d_e}}{{a}}", values), "x 1 2; 3{{a}} 1 2; 3");
  EXPECT_EQ(*Substitute("", values), "");
  EXPECT_EQ(*Substitute("no braces", {}), "no braces");
}

TEST(Substitute, Case05BlanksInsideOfTheBracesAreAllowed) {
  const Combination values = {{"lr", "0.1"}};
  for (const char* text : {"{{lr}}", "{{ lr }}", "{{lr }}", "{{\tlr}}", "{{   lr   }}"})
    EXPECT_EQ(*Substitute(text, values), "0.1") << text;
}

TEST(Substitute, LeavesOtherBracesAlone) {
  const Combination values = {{"a", "1"}};
  for (const char* text : {"{{}}", "{a}", "{{a}", "}}{{", "{{", "{", "awk '{{print $1}}'", "{{\u00e9}}", "{{\na\n}}",
                           "{\"x\": {\"y\": {\"z\": {\"w\": 1}}}}"})
    EXPECT_EQ(*Substitute(text, values), text);
  EXPECT_EQ(*Substitute("{{{a}}}", values), "{1}");
  EXPECT_EQ(*Substitute("{\"x\": {\"y\": {{a}}}}", values), "{\"x\": {\"y\": 1}}");
  EXPECT_EQ(*Substitute("{{$ {{a}}", values), "{{$ 1");
}

TEST(Substitute, Case28FourBracesWriteTwo) {
  const Combination values = {{"a", "1"}};
  EXPECT_EQ(*Substitute("f\"{{{{x}}}} {{a}}\"", values), "f\"{{x}} 1\"");
  EXPECT_EQ(*Substitute("docker ps --format '{{{{json .}}}}'", values), "docker ps --format '{{json .}}'");
  EXPECT_EQ(*Substitute("{{{{a}}}}", values), "{{a}}");
}

TEST(Substitute, Case28WithoutParametersBracesAreText) {
  for (const char* text : {"f\"{{x}}\"", "docker ps --format '{{json}}'", "{{ lr }}", "{{{{x}}}}"})
    EXPECT_EQ(*Substitute(text, {}), text);
}

TEST(Substitute, Case05RefusesWhatLooksLikeAPlaceholderAndNamesTheNearest) {
  const Combination values = {{"learning-rate", "1"}, {"lr", "1"}};
  const auto says = [&](absl::string_view command) {
    return std::string(Substitute(command, values).status().message());
  };
  EXPECT_THAT(says("a {{b}}"), HasSubstr("declare 'b' under 'parameters:', or write {{{{b}}}} where"));
  EXPECT_THAT(says("a {{ LR }}"), HasSubstr("{{ LR }} names no parameter; did you mean {{lr}}?"));
  EXPECT_THAT(says("{{learning_rate}}"), HasSubstr("did you mean {{learning-rate}}?"));
  EXPECT_THAT(says("{{learning_rte}}"), HasSubstr("did you mean {{learning-rate}}?"));
  EXPECT_THAT(says("{{lrr}}"), HasSubstr("did you mean {{lr}}? Otherwise declare 'lrr' under"));
  EXPECT_THAT(says("{{params.lr}}"), HasSubstr("did you mean {{lr}}?"));
  EXPECT_THAT(says("{{ lr | float }}"), HasSubstr("did you mean {{lr}}?"));
  EXPECT_THAT(says("{{ parameters['lr'] }}"), HasSubstr("did you mean {{lr}}?"));
  EXPECT_EQ(*Substitute("{{lr}} {{b}}", values, Undeclared::kKeep), "1 {{b}}");
}

TEST(Substitute, RefusesCommandsNobodyCanRun) {
  const Combination values = {{"a", std::string(70'000, 'x')}};
  EXPECT_TRUE(Substitute("{{a}}", values).ok());
  EXPECT_TRUE(HasReason(Substitute("{{a}}{{a}}", values).status(), Reason::kInvalidSpec));
}

TEST(ParameterNames, BecomeVariables) {
  EXPECT_EQ(EnvironmentName("lr-decay"), "LR_DECAY");
  EXPECT_EQ(EnvironmentName("batch_Size2"), "BATCH_SIZE2");
}

TEST(ParameterNames, ThatDecideWhatRunsAreRefused) {
  for (const char* name : {"path", "Home", "SHELL", "ld-preload", "ld_library_path", "LD_", "pythonpath", "python",
                           "riseml-api-url", "", "a.b", "1a", "a b", "a=b", "\u00e9"})
    EXPECT_TRUE(HasReason(CheckParameterName(name), Reason::kInvalidSpec)) << name;
  for (const char* name : {"lr", "path2", "my-path", "home-dir", "riseml", "ld", "_a", "-a"})
    EXPECT_TRUE(CheckParameterName(name).ok()) << name;
}

}  // namespace
}  // namespace riseml::spec
