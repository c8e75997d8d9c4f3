#include "services/common/archive/unpack.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/archive/testing.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"

namespace riseml {
namespace {

class ArchiveTest : public ::testing::Test {
 protected:
  ArchiveTest() {
    std::string pattern = ::testing::TempDir() + "/archive-XXXXXX";
    root_ = mkdtemp(pattern.data());
    EXPECT_TRUE(MakeDirectories(Path("code")).ok());
    std::ofstream(Path("outside")) << "untouched";
  }
  ~ArchiveTest() override { std::filesystem::remove_all(root_); }
  std::string Path(const std::string& name) const { return absl::StrCat(root_, "/", name); }
  std::string ReadAll(const std::string& name) const { return ReadFile(Path(name), 1 << 20).value_or("unreadable"); }
  absl::Status Unpack(const std::vector<TarEntry>& entries, const ArchiveLimits& limits = {}) {
    return UnpackBytes(MakeTar(entries), limits);
  }
  absl::Status UnpackBytes(std::string tar, const ArchiveLimits& limits = {}) {
    const ChunkReader read = [tar, at = std::size_t{0}]() mutable -> absl::StatusOr<std::string> {
      const std::string part = tar.substr(std::min(at, tar.size()), 700);
      at += part.size();
      return part;
    };
    return UnpackArchive(read, Path("code"), limits);
  }
  std::string root_;
};

TEST_F(ArchiveTest, UnpacksFilesDirectoriesAndLinks) {
  ASSERT_TRUE(Unpack({{"a/b/file", std::string(3000, 'x')},
                      {"empty/", "", '5'},
                      {"./tool", "#!/bin/sh\n", '0', "", 0755},
                      {"a/link", "", '2', "b/file"},
                      {"a/up", "", '2', "../tool"}})
                  .ok());
  EXPECT_EQ(ReadAll("code/a/b/file"), std::string(3000, 'x'));
  EXPECT_TRUE(std::filesystem::is_directory(Path("code/empty")));
  EXPECT_EQ(ReadAll("code/a/link"), std::string(3000, 'x'));
  EXPECT_EQ(ReadAll("code/a/up"), "#!/bin/sh\n");
  struct stat tool {};
  ASSERT_EQ(stat((Path("code/tool")).c_str(), &tool), 0);
  EXPECT_EQ(tool.st_mode & 07777, 0755u);
}

TEST_F(ArchiveTest, RefusesWhatLeadsElsewhere) {
  for (const TarEntry& entry : std::vector<TarEntry>{{"/abs", "x"},
                                                     {"../outside", "x"},
                                                     {"a/../../outside", "x"},
                                                     {"link", "", '2', ""},
                                                     {"hard", "", '1', "/etc/passwd"},
                                                     {"pipe", "", '6'},
                                                     {"device", "", '3'}}) {
    const absl::Status status = Unpack({entry});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << entry.name << " " << entry.target << ": " << status;
  }
  EXPECT_EQ(ReadAll("outside"), "untouched");
}

TEST_F(ArchiveTest, Case9LinksAreMadeAsTheyAre) {
  for (const std::string target : {"/etc/passwd", "../outside", "../../..", "nowhere", "self", "a/../self"}) {
    std::filesystem::remove_all(Path("code"));
    ASSERT_TRUE(MakeDirectories(Path("code")).ok());
    ASSERT_TRUE(Unpack({{"self", "", '2', target}, {"after", "1"}}).ok()) << target;
    EXPECT_EQ(std::filesystem::read_symlink(Path("code/self")), target);
  }
}

TEST_F(ArchiveTest, Case9WritesNothingThroughALink) {
  for (const std::string target : {"..", "../elsewhere", "/tmp", "l", "d"}) {
    std::filesystem::remove_all(Path("code"));
    ASSERT_TRUE(MakeDirectories(Path("code")).ok());
    ASSERT_TRUE(MakeDirectories(Path("elsewhere")).ok());
    EXPECT_FALSE(Unpack({{"d/", "", '5'}, {"l", "", '2', target}, {"l/written", "2"}}).ok()) << target;
    EXPECT_FALSE(Unpack({{"m", "", '2', target}, {"m/", "", '5'}}).ok()) << target;
    EXPECT_FALSE(Unpack({{"n", "", '2', absl::StrCat(target, "/written")}, {"n", "2"}}).ok()) << target;
  }
  for (const std::string path : {"written", "elsewhere/written", "code/d/written"})
    EXPECT_FALSE(FileExists(Path(path))) << path;
}

TEST_F(ArchiveTest, NeverFollowsALinkItHasMade) {
  EXPECT_EQ(Unpack({{"d/x", "1"}, {"l", "", '2', "d"}, {"l/x", "2"}}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadAll("code/d/x"), "1");
}

TEST_F(ArchiveTest, RefusesNamesThatAreThereTwice) {
  EXPECT_EQ(Unpack({{"x", "1"}, {"x", "2"}}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ArchiveTest, HasLimits) {
  EXPECT_TRUE(HasReason(Unpack({{"a", "1"}, {"b", "1"}}, {.entries = 1}), Reason::kLimitExceeded));
  EXPECT_TRUE(HasReason(Unpack({{"c", std::string(1000, 'x')}}, {.bytes = 999}), Reason::kLimitExceeded));
}

TEST_F(ArchiveTest, RefusesDamagedArchivesAndPassesErrorsOn) {
  const std::string tar = MakeTar({{"a", std::string(3000, 'x')}});
  EXPECT_EQ(UnpackBytes(tar.substr(0, 2000)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(UnpackBytes(std::string(5000, 'z')).code(), absl::StatusCode::kInvalidArgument);
  const ChunkReader broken = [] { return absl::StatusOr<std::string>(absl::UnavailableError("away")); };
  EXPECT_EQ(UnpackArchive(broken, Path("code")).code(), absl::StatusCode::kUnavailable);
}

TEST_F(ArchiveTest, MakesOutputDirectoriesBelowTheirVolumeOnly) {
  EXPECT_EQ(*MakeDirectoriesBelow(root_, "paul/p/1"), Path("paul/p/1"));
  EXPECT_TRUE(std::filesystem::is_directory(Path("paul/p/1")));
  for (const char* bad : {"", "/x", "..", "a/../../b"})
    EXPECT_EQ(MakeDirectoriesBelow(root_, bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  std::filesystem::create_directory_symlink("/tmp", Path("paul/evil"));
  EXPECT_FALSE(MakeDirectoriesBelow(root_, "paul/evil/x").ok());
}

}  // namespace
}  // namespace riseml
