// Measuring what hostile jobs leave.
#include "services/agent/output/output_size.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/agent/output/output_volume.h"
#include "services/agent/testing.h"

namespace riseml::agent {
namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kMib = 1 << 20;

class OutputSizeTest : public ::testing::Test {
 protected:
  OutputSizeTest() { fs::create_directories(top_); }

  // Writes a file whose blocks are allocated when this returns.
  void Fill(const std::string& name, std::size_t bytes) {
    fs::create_directories(fs::path(top_ + "/" + name).parent_path());
    testing::WriteAll(top_ + "/" + name, std::string(bytes, 'x'));
    const UniqueFd fd(open((top_ + "/" + name).c_str(), O_RDONLY));
    EXPECT_EQ(fsync(fd.get()), 0);
  }
  AllocatedSize Measure(std::int64_t most_entries = kMostMeasuredEntries) {
    absl::StatusOr<UniqueFd> parent = OpenFile(directory_.path(), O_RDONLY | O_DIRECTORY);
    EXPECT_TRUE(parent.ok());
    const auto size = MeasureAllocated(*std::move(parent), "output", stop_.get_token(), most_entries);
    EXPECT_TRUE(size.ok()) << size.status();
    return size.value_or(AllocatedSize{-1, true});
  }

  testing::TemporaryDirectory directory_;
  const std::string top_ = directory_ / "output";
  std::stop_source stop_;
};

TEST_F(OutputSizeTest, CountsBlocksOfAllFilesBelow) {
  const std::int64_t before = Measure().bytes;
  Fill("a", kMib);
  Fill("deep/er/b", 2 * kMib);
  const AllocatedSize size = Measure();
  EXPECT_GE(size.bytes - before, 3 * kMib);
  EXPECT_LT(size.bytes - before, 4 * kMib);
  EXPECT_FALSE(size.at_least);
}

TEST_F(OutputSizeTest, HolesTakeNothingAndNamesOfOneFileCountOnce) {
  const std::int64_t before = Measure().bytes;
  const UniqueFd hole(open((top_ + "/hole").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(ftruncate(hole.get(), std::int64_t{1} << 40), 0);
  Fill("file", kMib);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(link((top_ + "/file").c_str(), absl::StrCat(top_, "/name-", i).c_str()), 0);
  const std::int64_t grown = Measure().bytes - before;
  EXPECT_GE(grown, kMib);
  EXPECT_LT(grown, 2 * kMib);
}

TEST_F(OutputSizeTest, LinksAreNotFollowed) {
  testing::WriteAll(directory_ / "outside", std::string(4 * kMib, 'x'));
  fs::create_symlink(directory_ / "outside", top_ + "/file");
  fs::create_symlink(directory_.path(), top_ + "/directory");
  EXPECT_LT(Measure().bytes, kMib);
  fs::rename(top_, directory_ / "moved");
  fs::create_symlink(directory_.path(), top_);
  EXPECT_EQ(Measure().bytes, 0) << "nor is the top";
  fs::remove(top_);
  EXPECT_EQ(Measure().bytes, 0) << "nor must there be one";
}

TEST_F(OutputSizeTest, ATreeDeeperThanAPathIsCounted) {
  constexpr int kDepth = 3000;
  const std::string name(20, 'd');
  UniqueFd at(open(top_.c_str(), O_RDONLY | O_DIRECTORY));
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(mkdirat(at.get(), name.c_str(), 0700), 0);
    at = UniqueFd(openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(at.valid());
  }
  const UniqueFd file(openat(at.get(), "file", O_WRONLY | O_CREAT, 0600));
  const std::string content(kMib, 'x');
  ASSERT_EQ(write(file.get(), content.data(), content.size()), kMib);
  ASSERT_EQ(fsync(file.get()), 0);
  const AllocatedSize size = Measure();
  EXPECT_GE(size.bytes, kMib);
  EXPECT_FALSE(size.at_least);
  ASSERT_TRUE(RemoveTree(top_).ok());
}

TEST_F(OutputSizeTest, BeyondItsBoundItSaysAtLeast) {
  for (int i = 0; i < 100; ++i) Fill(absl::StrCat("dir-", i % 10, "/", i), 4096);
  const AllocatedSize whole = Measure(110), part = Measure(109);
  EXPECT_FALSE(whole.at_least);
  EXPECT_TRUE(part.at_least);
  EXPECT_GT(part.bytes, 0);
  EXPECT_LT(part.bytes, whole.bytes);
}

TEST_F(OutputSizeTest, ClosedDirectoriesAreCountedAndStayClosed) {
  Fill("closed/inner/file", kMib);
  for (const char* name : {"/closed/inner", "/closed", ""}) ASSERT_EQ(chmod((top_ + name).c_str(), 0), 0);
  const AllocatedSize size = Measure();
  EXPECT_GE(size.bytes, kMib);
  EXPECT_FALSE(size.at_least);
  for (const char* name : {"", "/closed", "/closed/inner"}) {
    struct stat info {};
    ASSERT_EQ(stat((top_ + name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & ALLPERMS, 0U) << name;
    chmod((top_ + name).c_str(), 0700);
  }
}

TEST_F(OutputSizeTest, StopsWhenAsked) {
  stop_.request_stop();
  absl::StatusOr<UniqueFd> parent = OpenFile(directory_.path(), O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(absl::IsCancelled(MeasureAllocated(*std::move(parent), "output", stop_.get_token()).status()));
}

TEST_F(OutputSizeTest, AChildHasAnOutputAndWhatItShares) {
  Fill("paul/census/7/3/own", kMib);
  Fill("paul/census/7/shared/all", 3 * kMib);
  internal::v1::JobTemplate job;
  const OutputVolume volume(top_);
  EXPECT_FALSE(volume.Measure(job, stop_.get_token())->has_bytes()) << "a build has none";
  job.set_output_subpath("paul/census/7/3");
  job.set_shared_subpath("paul/census/7/shared");
  const auto size = volume.Measure(job, stop_.get_token());
  ASSERT_TRUE(size.ok()) << size.status();
  EXPECT_GE(size->bytes(), kMib);
  EXPECT_LT(size->bytes(), 2 * kMib);
  EXPECT_GE(size->shared_bytes(), 3 * kMib);
  job.set_output_subpath("paul/census/8");
  EXPECT_EQ(volume.Measure(job, stop_.get_token())->bytes(), 0) << "removed meanwhile";
}

}  // namespace
}  // namespace riseml::agent
