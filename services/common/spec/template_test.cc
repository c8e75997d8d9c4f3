#include "services/common/spec/template.h"

#include <string>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/spec/features.h"
#include "services/common/spec/grid.h"
#include "services/common/spec/parse.h"

namespace riseml::spec {
namespace {

using ::testing::IsEmpty;

TEST(InitTemplate, IsAFileThatRuns) {
  for (const char* project : {"my-project", "A_1", "12", "010", "1e5", "true", "yes"}) {
    const auto spec = ParseSpec(InitTemplate(project), "riseml.yml");
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->project, project);
    ASSERT_TRUE(spec->train.has_value());
    EXPECT_TRUE(CheckRunnable(*spec->train).ok());
    EXPECT_THAT(spec->warnings, IsEmpty());
  }
}

TEST(InitTemplate, ItsCommentedExamplesAreValidToo) {
  std::string text = InitTemplate("ab");
  for (const char* key : {"install:", "  - pip", "parameters:", "  learning-rate:", "  layers:", "concurrency:"})
    ASSERT_EQ(absl::StrReplaceAll({{absl::StrCat("# ", key), key}}, &text), 1) << key;
  const auto spec = ParseSpec(text, "riseml.yml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(CombinationCount(*spec->train), 6);
  EXPECT_EQ(spec->train->concurrency, 2);
  EXPECT_EQ(spec->train->install.size(), 1u);
}

TEST(ProjectNameFrom, MakesANameOfAnyDirectory) {
  EXPECT_EQ(ProjectNameFrom("my-project"), "my-project");
  EXPECT_EQ(ProjectNameFrom("My project (2)"), "My-project-2");
  EXPECT_EQ(ProjectNameFrom(".hidden_"), "hidden");
  EXPECT_EQ(ProjectNameFrom("\u00e9"), "project");
  EXPECT_EQ(ProjectNameFrom(""), "project");
  EXPECT_EQ(ProjectNameFrom("a"), "project");
  EXPECT_EQ(ProjectNameFrom("___"), "project");
}

}  // namespace
}  // namespace riseml::spec
