// What was there before a build and what its steps have made, while others change the directories.
#include "services/agent/run/build_places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <thread>

#include "services/agent/testing.h"
#include "services/common/base/clock.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"

namespace riseml::agent {
namespace {

using namespace riseml::agent::testing;
namespace fs = std::filesystem;

class BuildPlacesTest : public ::testing::Test {
 protected:
  BuildPlacesTest() {
    for (const char* name : {"env", "code/sub", "tmp/home", "kept"})
      EXPECT_TRUE(MakeDirectories(directory_ / name).ok());
    WriteAll(directory_ / "code/sub/own", "");
    plan_.set_work_dir(directory_ / "code");
    plan_.mutable_step_reuse()->set_environment(directory_ / "env");
    plan_.mutable_step_reuse()->set_temporary(directory_ / "tmp");
  }
  absl::StatusOr<BuildPlaces> Look() { return BuildPlaces::Look(plan_, SystemClock().Now()); }

  TemporaryDirectory directory_;
  internal::v1::RunPlan plan_;
};

TEST_F(BuildPlacesTest, WhatVanishesWhileItIsListedIsNotThere) {
  // Another process makes and removes directories all the time; with one that is gone before it is listed, nothing
  // could be kept or used.
  std::jthread other([this](std::stop_token stop) {
    while (!stop.stop_requested())
      for (int i = 0; i < 30; ++i) {
        const std::string path = directory_ / ("tmp/passing" + std::to_string(i));
        std::error_code ignored;
        fs::create_directories(path + "/inner", ignored);
        fs::remove_all(path, ignored);
      }
  });
  for (int i = 0; i < 1000; ++i) {
    const auto places = Look();
    ASSERT_TRUE(places.ok()) << places.status();
  }
}

TEST_F(BuildPlacesTest, TellsWhatStepsMadeAndRemovesIt) {
  const auto places = Look();
  ASSERT_TRUE(places.ok()) << places.status();
  ASSERT_TRUE(MakeDirectories(directory_ / "code/sub/made").ok());
  WriteAll(directory_ / "code/sub/made/file", "");
  WriteAll(directory_ / "tmp/home/file", "");
  WriteAll(directory_ / "env/file", "");
  const auto made = places->Made();
  ASSERT_TRUE(made.ok()) << made.status();
  const WantsEntry& in_code = made->at(1).is_made;
  EXPECT_TRUE(in_code("sub") && in_code("sub/made") && in_code("sub/made/file"));
  EXPECT_FALSE(in_code("sub/own"));
  ASSERT_TRUE(places->RemoveMade().ok());
  EXPECT_TRUE(FileExists(directory_ / "code/sub/own"));
  for (const char* name : {"code/sub/made", "tmp/home/file", "env/file"})
    EXPECT_FALSE(FileExists(directory_ / name)) << name;
}

TEST_F(BuildPlacesTest, ADirectoryThatIsNotThereIsAnError) {
  plan_.mutable_step_reuse()->set_temporary(directory_ / "absent");
  EXPECT_TRUE(HasReason(Look().status(), Reason::kNotFound));
}

}  // namespace
}  // namespace riseml::agent
