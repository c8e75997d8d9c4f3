#include "services/builder/environment/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "services/builder/environment/plan_fixture.h"

namespace riseml::builder {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Titles(const Inputs& inputs) {
  std::vector<std::string> titles;
  for (const Step& step : StepsOf(inputs, KeyOf(inputs), "/e/k")) titles.push_back(step.title);
  return titles;
}

TEST(KeyOf, IsStableHex) {
  EXPECT_EQ(KeyOf(ExampleInputs()), KeyOf(ExampleInputs()));
  EXPECT_EQ(KeyOf(ExampleInputs()).size(), 64u);
}

TEST(KeyOf, IsThatOfEarlierVersionsSoThatTheirEnvironmentsAreStillUsed) {
  EXPECT_EQ(KeyOf(ExampleInputs()), "70f6a395080d48db66d89da9928a032bbdb24a30ee54d42eb4369e88a9f7769d");
}

TEST(KeyOf, DependsOnEveryInput) {
  const std::function<void(Inputs&)> changes[] = {
      [](Inputs& i) { i.owner_uid += "x"; },
      [](Inputs& i) { i.place = "/run/riseml/1/environments"; },
      [](Inputs& i) { i.python = "/opt/python"; },
      [](Inputs& i) { i.python_version = "cpython 3.12.0 x86_64"; },
      [](Inputs& i) { i.install.pop_back(); },
      [](Inputs& i) { std::swap(i.install[0], i.install[1]); },
      [](Inputs& i) { i.framework = "tensorflow"; },
      [](Inputs& i) { i.framework_version = "2.15.0"; },
      [](Inputs& i) { i.code.ids["requirements.txt"] = std::string(40, 'b'); },
      [](Inputs& i) { i.code.ids.clear(); },
      [](Inputs& i) { i.code.tree = "t"; },
      [](Inputs& i) { i.client_digest = "d"; },
      [](Inputs& i) { i.rebuild = "r"; },
  };
  std::set<std::string> keys = {KeyOf(ExampleInputs())};
  for (const auto& change : changes) {
    Inputs inputs = ExampleInputs();
    change(inputs);
    keys.insert(KeyOf(inputs));
  }
  EXPECT_EQ(keys.size(), std::size(changes) + 1);
}

TEST(KeyOf, FieldsCannotBeShiftedIntoEachOther) {
  Inputs a = ExampleInputs(), b = ExampleInputs();
  a.install = {"ab", "c"};
  b.install = {"a", "bc"};
  EXPECT_NE(KeyOf(a), KeyOf(b));
  a.install = {"x7:install1:y"};
  b.install = {"x", "y"};
  EXPECT_NE(KeyOf(a), KeyOf(b));
}

TEST(StepsOf, OneStepForEachThingDone) {
  Inputs inputs = ExampleInputs();
  inputs.framework = "tensorflow";
  inputs.client_dir = "/opt/client/riseml";
  EXPECT_THAT(Titles(inputs), ElementsAre("create Python environment", "add package riseml",
                                          "pip install -r requirements.txt", "pip install numpy",
                                          "pip install tensorflow", "keep what the steps made", "seal environment"));
}

// Keys of the steps, by title.
std::map<std::string, std::string> PrefixKeys(const Inputs& inputs) {
  std::map<std::string, std::string> keys;
  for (const Step& step : StepsOf(inputs, KeyOf(inputs), "/e/k")) keys[step.title] = step.prefix_key;
  return keys;
}

Inputs ExampleOfThreeSteps() {
  Inputs inputs = ExampleInputs();
  inputs.install = {"one", "two", "three"};
  inputs.prefix_digests = {"1", "2", "3"};
  inputs.client_dir = "/opt/client/riseml";
  inputs.client_digest = "c";
  inputs.framework = "tensorflow";
  return inputs;
}

TEST(PrefixKeys, StepsOfAnEnvironmentHaveOneEachButTheLastTwo) {
  const std::map<std::string, std::string> keys = PrefixKeys(ExampleOfThreeSteps());
  std::set<std::string> distinct;
  for (const char* title :
       {"create Python environment", "add package riseml", "one", "two", "three", "pip install tensorflow"}) {
    EXPECT_EQ(keys.at(title).size(), 64u) << title;
    distinct.insert(keys.at(title));
  }
  EXPECT_EQ(distinct.size(), 6u);
  EXPECT_EQ(keys.at("keep what the steps made"), "");
  EXPECT_EQ(keys.at("seal environment"), "");
}

TEST(PrefixKeys, ChangesConcernTheirStepAndThoseAfterIt) {
  struct Change {
    const char* what;
    std::function<void(Inputs&)> make;
    std::set<std::string> kept;  // titles of the steps whose keys stay
  };
  const Change changes[] = {
      {"text of the last step",
       [](Inputs& i) { i.install[2] = "other"; },
       {"create Python environment", "add package riseml", "one", "two"}},
      {"file that only the last step reads",
       [](Inputs& i) { i.prefix_digests[2] = "x"; },
       {"create Python environment", "add package riseml", "one", "two"}},
      {"file that the first step reads",
       [](Inputs& i) {
         i.prefix_digests = {"x", "y", "z"};
       },
       {"create Python environment", "add package riseml"}},
      {"version of the framework",
       [](Inputs& i) { i.framework_version = "2.15.0"; },
       {"create Python environment", "add package riseml", "one", "two", "three"}},
      {"package riseml", [](Inputs& i) { i.client_digest = "d"; }, {"create Python environment"}},
      {"owner", [](Inputs& i) { i.owner_uid += "x"; }, {}},
      {"place", [](Inputs& i) { i.place = "/run/riseml/1/environments"; }, {}},
      {"interpreter", [](Inputs& i) { i.python_version = "cpython 3.12.0 x86_64"; }, {}},
      {"who asked for a rebuild",
       [](Inputs& i) { i.rebuild = "r"; },
       {"create Python environment", "add package riseml", "one", "two", "three", "pip install tensorflow"}},
  };
  const std::map<std::string, std::string> before = PrefixKeys(ExampleOfThreeSteps());
  for (const Change& change : changes) {
    Inputs inputs = ExampleOfThreeSteps();
    change.make(inputs);
    const std::map<std::string, std::string> after = PrefixKeys(inputs);
    std::set<std::string> kept;
    for (const auto& [title, key] : before)
      if (!key.empty() && after.contains(title) && after.at(title) == key) kept.insert(title);
    EXPECT_EQ(kept, change.kept) << change.what;
  }
}

TEST(PrefixKeys, StepsOfWhichNothingIsKnownHaveNone) {
  Inputs inputs = ExampleOfThreeSteps();
  inputs.prefix_digests.resize(2);
  const std::map<std::string, std::string> keys = PrefixKeys(inputs);
  EXPECT_EQ(keys.at("two").size(), 64u);
  EXPECT_EQ(keys.at("three"), "");
  EXPECT_EQ(keys.at("pip install tensorflow"), "");
}

TEST(StepsOf, ReusedStepsStillSayWhatDecidesTheEnvironment) {
  const std::vector<Step> steps = StepsOf(ExampleInputs(), "k", "/e/k");
  EXPECT_THAT(steps[0].reuse_command, HasSubstr("is decided by:"));
  EXPECT_THAT(steps[0].reuse_command, HasSubstr(".riseml-before-"));
  EXPECT_EQ(steps[0].reuse_command.find("venv"), std::string::npos);
  EXPECT_EQ(steps[1].reuse_command, "");
}

TEST(StepsOf, CommandOfTheUserIsTakenAsItIs) {
  EXPECT_EQ(StepsOf(ExampleInputs(), "k", "/e/k")[1].command, "pip install -r requirements.txt");
}

TEST(StepsOf, PathsAreQuotedForTheShell) {
  EXPECT_THAT(StepsOf(ExampleInputs(), "k", "/e f/k")[0].command, HasSubstr("'/e f/k'"));
}

TEST(Case13Tools, UvVenvNamesTheEnvironmentOfTheJob) {
  Inputs inputs = ExampleInputs();
  inputs.install = {"uv venv && uv pip install six"};
  const Step step = StepsOf(inputs, "k", "/e/k")[1];
  EXPECT_EQ(step.title, "uv venv && uv pip install six");
  EXPECT_THAT(step.command, HasSubstr("ln -s \"$VIRTUAL_ENV\""));
  EXPECT_TRUE(absl::EndsWith(step.command, "\nuv venv && uv pip install six"));
}

TEST(Case13Tools, CondaRunsWhereItIsAndElseSaysWhatToWrite) {
  Inputs inputs = ExampleInputs();
  inputs.install = {"conda env update -f environment.yml"};
  const Step step = StepsOf(inputs, "k", "/e/k")[1];
  EXPECT_THAT(step.command, HasSubstr("command -v conda"));
  EXPECT_THAT(step.command, HasSubstr("pip install"));
  EXPECT_TRUE(absl::EndsWith(step.command, "\nconda env update -f environment.yml"));
}

TEST(StepsOf, FrameworkVersionThatFailsSaysWhatToDo) {
  Inputs inputs = ExampleInputs();
  inputs.install.clear();
  inputs.framework = "tensorflow";
  inputs.framework_version = "1.5.0";
  const Step step = StepsOf(inputs, "k", "/e/k")[1];
  EXPECT_EQ(step.title, "pip install tensorflow==1.5.0");
  EXPECT_THAT(step.command, HasSubstr("pip install tensorflow==1.5.0 || "));
  EXPECT_THAT(step.command, HasSubstr("write one of them as `version`"));
}

TEST(StepsOf, SystemPackageToolFailsWithWhatToDoInstead) {
  Inputs inputs = ExampleInputs();
  inputs.install = {"apt-get install -y gcc"};
  const Step step = StepsOf(inputs, "k", "/e/k")[1];
  EXPECT_EQ(step.title, "apt-get install -y gcc");
  EXPECT_TRUE(absl::StartsWith(step.command, "printf"));
  EXPECT_THAT(step.command, HasSubstr("pip install"));
  EXPECT_TRUE(absl::EndsWith(step.command, "exit 1"));
}

TEST(StepsOf, StepsOfTheProductExplainTheirFailures) {
  Inputs inputs = ExampleInputs();
  inputs.client_dir = "/client";
  inputs.framework = "tensorflow";
  inputs.install = {"pip install six", "apt-get install -y gcc", "conda install six"};
  for (const Step& step : StepsOf(inputs, "k", "/e/k"))
    EXPECT_EQ(step.explains_failure, step.title != "pip install six") << step.title;
}

TEST(StepsOf, AMachineWithoutVenvSaysWhatIsMissing) {
  Inputs inputs = ExampleInputs();
  inputs.python = "/bin/false";
  const std::string command = StepsOf(inputs, "k", "/e/k")[0].command;
  EXPECT_THAT(command, HasSubstr("/bin/false cannot make virtual environments here: an administrator has to install"));
}

TEST(Quote, ProtectsEverythingButPlainWords) {
  EXPECT_EQ(Quote("a/b.c"), "a/b.c");
  EXPECT_EQ(Quote("a b"), "'a b'");
  EXPECT_EQ(Quote("a'b"), "'a'\\''b'");
  EXPECT_EQ(Quote(""), "''");
}

}  // namespace
}  // namespace riseml::builder
