// Tests the parts of an environment: the files its steps left, variables for tools; and who removes a broken one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <stop_token>
#include <string>

#include "services/agent/environment/environment_claims.h"
#include "services/agent/environment/leavings.h"
#include "services/agent/launch/job_variables.h"
#include "services/agent/testing.h"
#include "services/common/base/files/file.h"
#include "services/common/base/python_versions.h"

namespace riseml::agent {
namespace {

using ::testing::ElementsAre;
using namespace riseml::agent::testing;
namespace fs = std::filesystem;

TEST(Case2Leavings, LieBeneathTheRevisionsOwnFiles) {
  TemporaryDirectory dir;
  for (const char* name : {"left/third/models", "left/taken", "code/third", "outside"})
    ASSERT_TRUE(MakeDirectories(dir / name).ok());
  WriteAll(dir / "left/third/models/a", "made");
  WriteAll(dir / "left/third/own", "made");
  WriteAll(dir / "left/taken/b", "made");
  WriteAll(dir / "left/tool", "made");
  fs::permissions(dir / "left/tool", fs::perms::owner_all);
  fs::create_symlink("third", dir / "left/link");
  WriteAll(dir / "code/third/own", "revision");
  fs::create_symlink(dir / "outside", dir / "code/taken");
  const absl::Time later = absl::FromUnixSeconds(2'000'000'000);
  ASSERT_TRUE(CopyBeneath(dir / "left", dir / "code", later, {}).ok());
  EXPECT_EQ(ReadAll(dir / "code/third/models/a"), "made");
  EXPECT_EQ(ReadAll(dir / "code/third/own"), "revision");
  EXPECT_EQ(fs::read_symlink(dir / "code/link"), "third");
  EXPECT_TRUE(fs::is_empty(dir / "outside")) << "links of the code are not followed";
  struct stat info {};
  ASSERT_EQ(stat((dir / "code/tool").c_str(), &info), 0);
  EXPECT_TRUE(info.st_mode & S_IXUSR);
  EXPECT_EQ(info.st_mtime, absl::ToTimeT(later)) << "younger than the code it was made from";
  WriteAll(dir / "code/third/models/a", "changed");
  EXPECT_EQ(ReadAll(dir / "left/third/models/a"), "made") << "a job writes to its copies";
  EXPECT_TRUE(CopyBeneath(dir / "absent", dir / "code", later, {}).ok());
}

TEST(Case2Leavings, NoteOfABuildIsNeverAFileOfSomebodyElse) {
  TemporaryDirectory dir;
  const std::string environment = dir / "environment", note = environment + "/.riseml/note";
  EXPECT_EQ(NoteOfBuild(environment), "");
  ASSERT_TRUE(MakeDirectories(environment + "/.riseml").ok());
  WriteAll(note, "told");
  EXPECT_EQ(NoteOfBuild(environment), "told");
  WriteAll(dir / "secret", "secret");
  fs::remove(note);
  fs::create_symlink(dir / "secret", note);
  EXPECT_EQ(NoteOfBuild(environment), "");
  fs::remove(note);
  ASSERT_EQ(mkfifo(note.c_str(), 0600), 0);
  EXPECT_EQ(NoteOfBuild(environment), "") << "and does not wait";
  ASSERT_TRUE(MakeDirectories(dir / "other").ok());
  WriteAll(dir / "other/note", "secret");
  fs::remove_all(environment + "/.riseml");
  fs::create_directory_symlink(dir / "other", environment + "/.riseml");
  EXPECT_EQ(NoteOfBuild(environment), "");
}

TEST(Case13Tools, UseTheEnvironmentOfTheJob) {
  internal::v1::StartAttemptRequest start;
  start.set_environment_path("/env/key");
  const JobPaths paths{
      .control = "/c", .temporary = "/t", .output = "", .data = "", .python_client = "", .pip_config = ""};
  Variables job = JobVariables(start, paths, {}, {});
  EXPECT_EQ(job.at("UV_PROJECT_ENVIRONMENT"), "/env/key");
  EXPECT_EQ(job.at("POETRY_VIRTUALENVS_CREATE"), "false");
  EXPECT_EQ(job.at("UV_NO_SYNC"), "1");
  start.add_build_steps();
  EXPECT_FALSE(JobVariables(start, paths, {}, {}).contains("UV_NO_SYNC"));
  start.clear_environment_path();
  EXPECT_FALSE(JobVariables(start, paths, {}, {}).contains("UV_PROJECT_ENVIRONMENT"));
}

TEST(Case23EnvironmentClaims, OnlyTheOwnIncompleteEnvironmentIsRemoved) {
  TemporaryDirectory dir;
  EnvironmentClaims claims(dir / "environments");
  const std::string path = dir / "environments/user/work/key";
  ASSERT_TRUE(claims.Claim(path, "first").ok());
  WriteAll(path + "/large", "x");
  ASSERT_TRUE(claims.Claim(path, "second").ok());
  EXPECT_TRUE(claims.Settle(path, "first", false).ok());
  EXPECT_TRUE(FileExists(path)) << "somebody else makes it now";
  EXPECT_TRUE(claims.Settle(path, "second", true).ok());
  EXPECT_FALSE(FileExists(path));
  ASSERT_TRUE(claims.Claim(path, "third").ok());
  WriteAll(path + "/.riseml-complete", "x");
  EXPECT_TRUE(claims.Settle(path, "third", true).ok());
  EXPECT_TRUE(fs::is_directory(dir / "environments/user/key")) << "out of the reach of jobs";
  EXPECT_TRUE(fs::is_symlink(path));
  EXPECT_TRUE(FileExists(path + "/.riseml-complete"));
}

TEST(PythonVersions, AreFoundWhereToolsPutThem) {
  EXPECT_EQ(PythonOfImage("python:3.10"), "3.10");
  EXPECT_EQ(PythonOfImage("docker.io/library/python:3.9.4-slim"), "3.9");
  for (const char* image : {"python", "python:3", "python:latest", "tensorflow/tensorflow:1.5.0", "mypython:3.10", ""})
    EXPECT_EQ(PythonOfImage(image), "") << image;
  TemporaryDirectory dir;
  for (const char* name : {"path", "versions/3.97.1/bin", "uv/cpython-3.97.2-linux/bin", "x/3.970/bin"})
    ASSERT_TRUE(MakeDirectories(dir / name).ok());
  for (const char* name : {"path/python3.97", "versions/3.97.1/bin/python3.97",
                           "uv/cpython-3.97.2-linux/bin/python3.97", "x/3.970/bin/python3.97"}) {
    WriteAll(dir / name, "");
    fs::permissions(dir / name, fs::perms::owner_all);
  }
  EXPECT_THAT(FindPython("3.97", {dir / "path", dir / "versions", dir / "uv", dir / "x", dir / "absent"}),
              ElementsAre(dir / "path/python3.97", dir / "versions/3.97.1/bin/python3.97",
                          dir / "uv/cpython-3.97.2-linux/bin/python3.97"));
  EXPECT_EQ(PythonPrefix(dir / "versions/3.97.1/bin/python3.97"), dir / "versions/3.97.1");
}

}  // namespace
}  // namespace riseml::agent
