// riseml project, with a fake cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/testing/cli_fixture.h"

namespace riseml::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

void PutProject(FakeContent& content, const std::string& user, const std::string& name, std::int64_t bytes) {
  v1::Project project;
  project.set_name(absl::StrCat("users/", user, "/projects/", name));
  project.set_stored_bytes(bytes);
  project.mutable_create_time()->set_seconds(1'700'000'000);
  content.Put(project);
}

TEST_F(CliTest, ProjectsAreListedWithTheirSizes) {
  PutProject(content(), "paul", "digits", 0);
  PutProject(content(), "ada", "mnist", 2048);
  EXPECT_EQ(Run({"project", "list"}).out,
            "Name          Size       Created\n"
            "census        11.8 MiB   2023-11-14T22:13:20Z\n"
            "digits        -          2023-11-14T22:13:20Z\n");
  EXPECT_EQ(Run({"project", "list", "-q"}).out, "census\ndigits\n");
  EXPECT_EQ(Run({"project", "list", "-q", "-u"}).out, ".ada.mnist\ncensus\ndigits\n");
  EXPECT_THAT(Run({"project", "list", "--json"}).out, HasSubstr("\"stored_bytes\":\"12345678\""));
}

TEST_F(CliTest, ProjectRmDeletesEachOnceAndGoesOnAfterAFailure) {
  PutProject(content(), "paul", "digits", 2048);
  PutProject(content(), "ada", "mnist", 0);
  const Finished one = Run({"project", "rm", "--yes", "digits"});
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(one.out, "deleted project digits, 2 KiB\n");
  content().Put(MakeExperiment("14", v1::Experiment::FINISHED));
  const Finished several = Run({"project", "rm", "-y", "census", ".ada.mnist", "users/ada/projects/mnist"});
  EXPECT_EQ(several.exit_code, 1);
  EXPECT_EQ(several.out, "deleted project .ada.mnist\n");
  EXPECT_THAT(several.err, HasSubstr("census: project census has 1 experiment; delete it first: riseml rm 14"));
  EXPECT_THAT(content().deleted(), ElementsAre("users/paul/projects/digits", "users/ada/projects/mnist"));
}

TEST_F(CliTest, ProjectRmAsksAndSaysWhatIsWrong) {
  const Finished asked = Run({"project", "rm", "census"}, "y\n");
  EXPECT_EQ(asked.exit_code, 1);
  EXPECT_THAT(asked.err, HasSubstr("  project census, 11.8 MiB\n"));
  EXPECT_THAT(asked.err, HasSubstr("': standard input is not a terminal; add --yes"));
  EXPECT_EQ(Run({"project", "rm", "-y", "nothing"}).err,
            "ERROR: there is no project nothing; see: riseml project list\n");
  for (const char* name : {"", "a b", ".paul", ".paul.census.x", "paul.census", "-"})
    EXPECT_THAT(Run({"project", "rm", "-y", "--", name}).err, HasSubstr("is no name of a project")) << name;
  EXPECT_THAT(content().deleted(), IsEmpty());
  EXPECT_THAT(Run({"project", "rm", "--yes", "-q", "census"}).out, IsEmpty());
  EXPECT_THAT(Run({"project", "list"}).err, HasSubstr("There are no projects."));
}

TEST_F(CliTest, ProjectsAreCompleted) {
  EXPECT_THAT(Run({"completion", "bash"}).out, HasSubstr("values='riseml project list -q'"));
  EXPECT_THAT(Run({"project", "rm", "--help"}).out, HasSubstr("riseml project rm .paul.census"));
}

}  // namespace
}  // namespace riseml::cli
