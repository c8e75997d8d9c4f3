#include "services/builder/environment/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "services/builder/environment/plan_fixture.h"

namespace riseml::builder {
namespace {

using internal::v1::CacheExplanation;
using internal::v1::KnownEnvironment;
using testing::HasSubstr;
using testing::Not;

UsedBefore Used(const Inputs& inputs, const std::string& built_by = "12.build") {
  UsedBefore used{.key = std::string(64, '9'), .environment = {}};
  for (const auto& input : DecidingInputsOf(inputs)) *used.environment.add_inputs() = input;
  used.environment.set_built_by(built_by);
  return used;
}

CacheExplanation Explain(const Inputs& inputs, const std::optional<UsedBefore>& same,
                         const std::optional<UsedBefore>& last) {
  return ExplainBuild(DecidingInputsOf(inputs), !inputs.rebuild.empty(), same, last);
}

TEST(ExplainBuild, EachChangeIsNamed) {
  const struct {
    std::function<void(Inputs&)> change;
    std::string reason;
  } cases[] = {
      {[](Inputs& i) { i.code.ids["requirements.txt"] = std::string(40, 'b'); }, "requirements.txt has changed"},
      {[](Inputs& i) { i.code.ids["a.txt"] = std::string(40, 'b'); }, "a.txt is new"},
      {[](Inputs& i) { i.code.ids.clear(); }, "requirements.txt is gone"},
      {[](Inputs& i) { i.install.pop_back(); }, "the step `pip install numpy` is gone"},
      {[](Inputs& i) { i.install.push_back("x"); }, "the step `x` is new"},
      {[](Inputs& i) { i.install.push_back(i.install[0]); }, "the step `pip install -r requirements.txt` is new"},
      {[](Inputs& i) { std::swap(i.install[0], i.install[1]); }, "the order of the steps has changed"},
      {[](Inputs& i) { i.python_version = "cpython 3.12.0 x86_64"; },
       "Python is now cpython 3.12.0 x86_64 (/usr/bin/python3)"},
      {[](Inputs& i) {
         i.framework = "tensorflow";
         i.framework_version = "2.15.0";
       },
       "the framework is now tensorflow 2.15.0"},
      {[](Inputs& i) { i.client_digest = "d"; }, "the package riseml has changed"},
      {[](Inputs& i) { i.place = "/elsewhere"; }, "the way or the place in which environments are made has changed"},
      {[](Inputs& i) {
         i.install[1] = "pip install scipy";
         i.code.ids["requirements.txt"] = std::string(40, 'b');
       },
       "the step `pip install scipy` is new, the step `pip install numpy` is gone and requirements.txt has changed"},
      {[](Inputs& i) {
         for (const char* step : {"a", "b", "c", "d"}) i.install.push_back(step);
       },
       "the step `a` is new, the step `b` is new and more has changed"},
  };
  for (const auto& one : cases) {
    Inputs inputs = ExampleInputs();
    one.change(inputs);
    const CacheExplanation explanation = Explain(inputs, std::nullopt, Used(ExampleInputs()));
    EXPECT_EQ(explanation.decision(), CacheExplanation::CHANGED) << one.reason;
    EXPECT_EQ(explanation.reason(), one.reason + " since 12.build");
  }
}

TEST(ExplainBuild, AnyFileOfTheProjectMayBeTheReason) {
  Inputs before = ExampleInputs();
  before.code.ids.clear();
  before.code.tree = "t1";
  Inputs now = before;
  now.code.tree = "t2";
  EXPECT_EQ(Explain(now, std::nullopt, Used(before)).reason(), "files of the project have changed since 12.build");
}

TEST(ExplainBuild, FilesThatCountWithAllOthersAreNotGone) {
  Inputs all = ExampleInputs();
  all.install.push_back("for i in $(seq 2); do echo $i; done");
  all.code.ids.clear();
  all.code.tree = "0123";
  EXPECT_EQ(
      Explain(all, std::nullopt, Used(ExampleInputs())).reason(),
      "the step `for i in $(seq 2); do echo $i; done` is new and all files of the project count now since 12.build");
  EXPECT_EQ(Explain(ExampleInputs(), std::nullopt, Used(all)).reason(),
            "the step `for i in $(seq 2); do echo $i; done` is gone and only files that steps read count now since "
            "12.build");
}

TEST(ExplainBuild, AJobThatIsNotKnownIsNotNamed) {
  Inputs inputs = ExampleInputs();
  inputs.code.ids["requirements.txt"] = "b";
  EXPECT_EQ(Explain(inputs, std::nullopt, Used(ExampleInputs(), "")).reason(),
            "requirements.txt has changed since environment 99999999 was built");
}

TEST(ExplainBuild, OtherReasons) {
  Inputs inputs = ExampleInputs();
  EXPECT_EQ(Explain(inputs, std::nullopt, std::nullopt).decision(), CacheExplanation::BUILT_FIRST_TIME);
  EXPECT_EQ(Explain(inputs, std::nullopt, std::nullopt).reason(), "no environment of this project is known");
  EXPECT_EQ(Explain(inputs, Used(inputs), std::nullopt).decision(), CacheExplanation::VANISHED);
  EXPECT_EQ(Explain(inputs, Used(inputs), std::nullopt).reason(), "the one that 12.build built has been removed");
  EXPECT_EQ(Explain(inputs, Used(inputs, ""), std::nullopt).reason(), "the one that was built before has been removed");
  EXPECT_EQ(Explain(inputs, std::nullopt, Used(inputs)).decision(), CacheExplanation::VANISHED)
      << "a rebuilt one, whose key is another";
  inputs.rebuild = "33333333-3333-4333-8333-333333333333";
  EXPECT_EQ(Explain(inputs, std::nullopt, Used(ExampleInputs())).decision(), CacheExplanation::REBUILD_REQUESTED);
  EXPECT_EQ(Explain(inputs, Used(inputs), std::nullopt).decision(), CacheExplanation::VANISHED)
      << "it was built as asked for, and is gone";
}

TEST(ExplainBuild, PasswordsAreNeitherToldNorKeptAndReasonsAreShort) {
  Inputs inputs = ExampleInputs();
  inputs.install = {"pip install --index-url https://me:s3cr3t@host/simple six"};
  const UsedBefore used = Used(inputs);
  EXPECT_THAT(used.environment.SerializeAsString(), Not(HasSubstr("s3cr3t")));
  inputs.install[0] = "pip install --index-url https://me:0th3rw@host/simple six";
  EXPECT_EQ(Explain(inputs, std::nullopt, used).reason(),
            "the step `pip install --index-url https://*********@host/simple six` has changed since 12.build");
  inputs.install.assign(50, std::string(5000, 'x'));
  for (int i = 0; i < 50; ++i) inputs.code.ids[std::string(1000, 'y') + std::to_string(i)] = "id";
  EXPECT_LE(Explain(inputs, std::nullopt, used).reason().size(), 500u);
}

TEST(DecisionLines, NameInterpreterStepsAndFiles) {
  Inputs inputs = ExampleInputs();
  inputs.install.push_back("pip install --index-url https://me:s3cr3t@host/simple six");
  const std::vector<std::string> lines = DecisionLines(inputs, "0123456789");
  EXPECT_EQ(lines[0], "Environment 01234567 is decided by:");
  EXPECT_EQ(lines[1], "  Python: cpython 3.11.2 x86_64 (/usr/bin/python3)");
  EXPECT_EQ(lines[2], "  step: pip install -r requirements.txt");
  EXPECT_EQ(lines[4], "  step: pip install --index-url https://*********@host/simple six");
  EXPECT_EQ(lines[5], "  file: requirements.txt aaaaaaaa");
  EXPECT_EQ(lines.size(), 6u);
  inputs.built_because = "requirements.txt has changed since 12.build";
  EXPECT_EQ(DecisionLines(inputs, "k").back(), "It is built, as requirements.txt has changed since 12.build");
  for (int i = 0; i < 100; ++i) inputs.install.push_back(std::string(1000, 'x'));
  EXPECT_LT(DecisionLines(inputs, "k").size(), 30u);
}

}  // namespace
}  // namespace riseml::builder
