// Tests of the start of a job in a container, with images that are directories.
#include "services/agent/run/image_setup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/agent/testing.h"
#include "services/common/base/files/file.h"

namespace riseml::agent {
namespace {

using namespace riseml::agent::testing;
namespace fs = std::filesystem;

class ImageSetup : public ::testing::Test {
 protected:
  // Makes PREFIX/bin/python3.11 with the links to it, and a directory of packages.
  void Install(const std::string& prefix, const std::string& packages) {
    for (const std::string& part : {std::string("/bin"), "/lib/" + packages})
      ASSERT_TRUE(MakeDirectories(dir_ / (prefix + part)).ok());
    WriteAll(dir_ / (prefix + "/bin/python3.11"), "");
    fs::create_symlink("python3.11", dir_ / (prefix + "/bin/python3"));
    fs::create_symlink("python3", dir_ / (prefix + "/bin/python"));
  }
  std::string Shown(const std::string& place) {
    const std::string path = dir_ / (place + "/riseml.pth");
    return FileExists(path) ? ReadAll(path) : "";
  }
  void Show(const std::string& path) { ShowPackageToPythons(path, "/client"); }

  TemporaryDirectory dir_;
};

TEST_F(ImageSetup, ThePackageIsShownToEveryPythonOfPath) {
  Install("local", "python3.11/site-packages");
  Install("debian", "python3/dist-packages");
  Install("other", "python3.11/site-packages");
  Show(absl::StrCat(dir_ / "local/bin", ":/nowhere:relative::", dir_ / "debian/bin"));
  EXPECT_EQ(Shown("local/lib/python3.11/site-packages"), "/client\n");
  EXPECT_EQ(Shown("debian/lib/python3/dist-packages"), "/client\n");
  EXPECT_EQ(Shown("other/lib/python3.11/site-packages"), "") << "it is not in PATH";
}

TEST_F(ImageSetup, ThePackageIsShownToAVirtualEnvironmentAndTheInterpreterBelowIt) {
  Install("local", "python3.11/site-packages");
  for (const char* part : {"venv/bin", "venv/lib/python3.11/site-packages"})
    ASSERT_TRUE(MakeDirectories(dir_ / part).ok());
  fs::create_symlink(dir_ / "local/bin/python3.11", dir_ / "venv/bin/python");
  Show(dir_ / "venv/bin");
  EXPECT_EQ(Shown("venv/lib/python3.11/site-packages"), "/client\n");
  EXPECT_EQ(Shown("local/lib/python3.11/site-packages"), "/client\n");
}

TEST_F(ImageSetup, AFileOfTheImageStays) {
  Install("local", "python3.11/site-packages");
  WriteAll(dir_ / "local/lib/python3.11/site-packages/riseml.pth", "/own\n");
  Show(dir_ / "local/bin");
  EXPECT_EQ(Shown("local/lib/python3.11/site-packages"), "/own\n");
}

TEST_F(ImageSetup, WhatIsNoPython3IsLeftAlone) {
  Install("two", "python2.7/dist-packages");
  for (const char* name : {"python", "python3"}) fs::remove(dir_ / (std::string("two/bin/") + name));
  WriteAll(dir_ / "two/bin/python", "#!/bin/sh\n");
  fs::create_symlink("nowhere", dir_ / "two/bin/python3");
  Show(dir_ / "two/bin");
  EXPECT_EQ(Shown("two/lib/python2.7/dist-packages"), "");
}

class ImageEnvironment : public ImageSetup {
 protected:
  void Make(const std::string& name) {
    ASSERT_TRUE(MakeDirectories(dir_ / (name + "/bin")).ok());
    for (const char* file : {"/pyvenv.cfg", "/bin/python"}) WriteAll(dir_ / (name + file), "");
  }
  google::protobuf::Map<std::string, std::string> Activate(const std::string& of_image = "") {
    google::protobuf::Map<std::string, std::string> variables;
    variables["PATH"] = "/usr/bin";
    if (!of_image.empty()) variables["VIRTUAL_ENV"] = of_image;
    ActivateEnvironment(dir_ / "code", &variables);
    return variables;
  }
};

TEST_F(ImageEnvironment, TheOnlyOneIsActivated) {
  ASSERT_TRUE(MakeDirectories(dir_ / "code/src").ok());
  EXPECT_FALSE(Activate().contains("VIRTUAL_ENV"));
  Make("code/env");
  const auto variables = Activate();
  EXPECT_EQ(variables.at("VIRTUAL_ENV"), dir_ / "code/env");
  EXPECT_EQ(variables.at("PATH"), (dir_ / "code/env/bin") + ":/usr/bin");
  EXPECT_EQ(Activate("/opt/venv").at("VIRTUAL_ENV"), "/opt/venv") << "the image has one";
}

TEST_F(ImageEnvironment, OfSeveralTheUsualNameWins) {
  Make("code/env");
  Make("code/other");
  EXPECT_FALSE(Activate().contains("VIRTUAL_ENV"));
  Make("code/.venv");
  EXPECT_EQ(Activate().at("VIRTUAL_ENV"), dir_ / "code/.venv");
}

TEST_F(ImageSetup, TheHomeOfTheImageIsSeenInThatOfTheJob) {
  for (const char* part : {"root/nltk_data", "root/.cache", "root/own", "home/own"})
    ASSERT_TRUE(MakeDirectories(dir_ / part).ok());
  WriteAll(dir_ / "root/nltk_data/punkt", "punkt");
  LinkHome(dir_ / "root", dir_ / "home");
  EXPECT_EQ(ReadAll(dir_ / "home/nltk_data/punkt"), "punkt");
  EXPECT_FALSE(fs::is_symlink(dir_ / "home/own"));
  EXPECT_FALSE(FileExists(dir_ / "home/.cache"));
}

}  // namespace
}  // namespace riseml::agent
