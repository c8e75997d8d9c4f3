#include "services/builder/environment/interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "services/common/base/files/file.h"
#include "services/common/base/python_versions.h"

namespace riseml::builder {
namespace {

class InterpreterTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/riseml-interpreter-XXXXXX";
    dir_ = mkdtemp(pattern);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string Write(const std::string& name, absl::string_view content, int mode = 0644) {
    const std::string path = dir_ + "/" + name;
    EXPECT_TRUE(MakeDirectories(std::filesystem::path(path).parent_path()).ok());
    EXPECT_TRUE(WriteFileAtomically(path, content, mode).ok());
    return path;
  }
  std::string dir_;
};

TEST_F(InterpreterTest, VersionIsWhatTheInterpreterPrints) {
  const auto version = PythonVersion(Write("python", "#!/bin/sh\necho cpython 3.11.2 x86_64\n", 0755));
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, "cpython 3.11.2 x86_64");
}

TEST_F(InterpreterTest, AbsentInterpreterSaysWhatToInstall) {
  const auto version = PythonVersion(dir_ + "/absent");
  EXPECT_EQ(version.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(version.status().message()), testing::HasSubstr("install python3"));
}

TEST_F(InterpreterTest, FailingInterpreterIsRefused) {
  EXPECT_EQ(PythonVersion(Write("python", "#!/bin/sh\nexit 1\n", 0755)).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(InterpreterTest, PackageIsFoundInOrBelowTheDirectory) {
  Write("a/riseml/__init__.py", "");
  EXPECT_EQ(*FindPackage(dir_ + "/a"), dir_ + "/a/riseml");
  EXPECT_EQ(*FindPackage(dir_ + "/a/riseml"), dir_ + "/a/riseml");
  EXPECT_EQ(*FindPackage(""), "");
  EXPECT_EQ(FindPackage(dir_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(InterpreterTest, DigestFollowsNamesAndContentsOnly) {
  Write("a/__init__.py", "x");
  Write("a/__pycache__/m.pyc", "compiled");
  Write("b/__init__.py", "x");
  EXPECT_EQ(*PackageDigest(dir_ + "/a"), *PackageDigest(dir_ + "/b"));
  Write("b/__init__.py", "y");
  EXPECT_NE(*PackageDigest(dir_ + "/a"), *PackageDigest(dir_ + "/b"));
  EXPECT_EQ(*PackageDigest(""), "");
}

}  // namespace
}  // namespace riseml::builder
