#include "cli/sync/snapshot.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/sync/index_cache.h"
#include "services/common/base/status.h"
#include "services/gitsync/testing/test_directory.h"

namespace riseml::sync {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Sets the time a file was modified to `at`.
void SetModified(const std::string& path, absl::Time at) {
  const timespec times[2] = {absl::ToTimespec(at), absl::ToTimespec(at)};
  const auto before = StampOf(path);
  do {  // until the kernel's time has moved a step, so that ctime tells
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  } while (StampOf(path)->changed_ns == before->changed_ns);
}

class SnapshotTest : public ::testing::Test {
 protected:
  SnapshotTest() {
    options_.root = tree_.path();
    options_.cache_directory = cache_.File("c");
    options_.clock = &clock_;
    options_.sleep = [this](absl::Duration) { ++sleeps_; };
    // Files made from now on are older than what the clock says: the cache may keep them.
    clock_.Advance(SystemClock().Now() + absl::Seconds(60) - clock_.Now());
  }
  Snapshot Take() {
    auto snapshot = TakeSnapshot(options_);
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return snapshot.ok() ? *std::move(snapshot) : Snapshot();
  }
  static std::vector<std::string> Hashed(const Snapshot& snapshot) {
    std::vector<std::string> out;
    for (const SnapshotFile& file : snapshot.files)
      if (file.hashed) out.push_back(file.file.path);
    return out;
  }

  gitsync::TestDirectory tree_, cache_;
  FakeClock clock_;
  SnapshotOptions options_;
  int sleeps_ = 0;
};

TEST_F(SnapshotTest, TheTreeIsWhatGitWrites) {
  tree_.Write("a", "1");
  tree_.Write("a.b", "2");
  tree_.Write("a-c/x", "3");
  tree_.Write("d/e/f", "4");
  tree_.Write("d/e/run", "5", true);
  tree_.Write("d0", "");
  tree_.Write("größe", std::string(600'000, 'x'));
  tree_.Link("d/link", "e/f");
  const Snapshot snapshot = Take();
  const auto git =
      gitsync::RunShell(absl::StrCat("cd ", tree_.path(), " && git init -q && git add -A && git write-tree"));
  EXPECT_EQ(git.output, git::Hex(snapshot.tree) + "\n");
  EXPECT_EQ(snapshot.trees.back().id, snapshot.tree);
  EXPECT_EQ(snapshot.trees.size(), 4u);
}

TEST_F(SnapshotTest, AnEmptyProjectIsTheEmptyTree) {
  EXPECT_EQ(git::Hex(Take().tree), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}

TEST_F(SnapshotTest, EqualDirectoriesAreOneTree) {
  tree_.Write("a/x", "1");
  tree_.Write("b/x", "1");
  EXPECT_EQ(Take().trees.size(), 2u);
}

TEST_F(SnapshotTest, ReadsWhatChangedOnly) {
  tree_.Write("a", "1");
  tree_.Write("d/b", "2");
  EXPECT_THAT(Hashed(Take()), ElementsAre("a", "d/b"));
  EXPECT_THAT(Hashed(Take()), IsEmpty());
  tree_.Write("d/b", "3");
  const Snapshot snapshot = Take();
  EXPECT_THAT(Hashed(snapshot), ElementsAre("d/b"));
  EXPECT_EQ(snapshot.files[1].id, git::HashObject(git::ObjectKind::kBlob, "3"));
}

TEST_F(SnapshotTest, AFileChangedJustBeforeIsReadAgain) {
  clock_.Advance(absl::Seconds(-60));  // the files are as new as can be
  tree_.Write("a", "1");
  EXPECT_THAT(Hashed(Take()), ElementsAre("a"));
  EXPECT_THAT(Hashed(Take()), ElementsAre("a"));
  clock_.Advance(absl::Seconds(60));
  EXPECT_THAT(Hashed(Take()), ElementsAre("a"));  // looked at late enough now
  EXPECT_THAT(Hashed(Take()), IsEmpty());
}

TEST_F(SnapshotTest, AnyChangeOfTheStampCounts) {
  tree_.Write("a", "1");
  Take();
  SetModified(tree_.File("a"), absl::FromUnixSeconds(1'000'000));
  EXPECT_THAT(Hashed(Take()), ElementsAre("a"));
  // Other content of the same size, with the old time put back: ctime tells.
  tree_.Write("a", "2");
  SetModified(tree_.File("a"), absl::FromUnixSeconds(1'000'000));
  const Snapshot snapshot = Take();
  EXPECT_EQ(snapshot.files[0].id, git::HashObject(git::ObjectKind::kBlob, "2"));
  tree_.Write("a", "2", true);
  EXPECT_EQ(Take().files[0].file.mode, git::Mode::kExecutable);
}

TEST_F(SnapshotTest, ADamagedCacheIsNoCache) {
  tree_.Write("a", "1");
  Take();
  const std::string path = cache_.File("c/index");
  ASSERT_TRUE(std::filesystem::exists(path));
  const auto size = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, size - 1);
  EXPECT_THAT(Hashed(Take()), ElementsAre("a"));
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(30);
    const int byte = file.get();
    file.seekp(30);
    file.put(static_cast<char>(byte ^ 1));  // another one, whatever it was
  }
  EXPECT_THAT(Hashed(Take()), ElementsAre("a"));
  std::ofstream(path) << "riseml index 2\nfrom the future";
  EXPECT_THAT(Hashed(Take()), ElementsAre("a"));
  EXPECT_THAT(Hashed(Take()), IsEmpty());
}

TEST_F(SnapshotTest, ACacheThatCannotBeWrittenIsAWarning) {
  cache_.Write("c", "a file where the directory should be");
  tree_.Write("a", "1");
  EXPECT_THAT(Take().warnings, ElementsAre(HasSubstr("the cache of file ids was not saved")));
}

TEST_F(SnapshotTest, LimitsAreKeptBeforeAnythingIsRead) {
  tree_.Write("code.py", "1");
  tree_.Write("data/large.bin", std::string(3000, 'x'));
  tree_.Write("data/small.bin", std::string(1500, 'x'));
  const auto refusal = [&](std::int64_t file_bytes, std::int64_t revision_bytes, std::int64_t files) {
    options_.limits.set_file_bytes(file_bytes);
    options_.limits.set_revision_bytes(revision_bytes);
    options_.limits.set_files(files);
    const absl::Status status = TakeSnapshot(options_).status();
    EXPECT_TRUE(HasReason(status, Reason::kLimitExceeded)) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(refusal(2000, 0, 0),
              ::testing::AllOf(HasSubstr("a file may have 2000 bytes"), HasSubstr("/data/large.bin   (3000 bytes)"),
                               ::testing::Not(HasSubstr("small"))));
  EXPECT_THAT(refusal(0, 4000, 0),
              ::testing::AllOf(HasSubstr("the project has 4501 bytes; a revision may have 4000 bytes"),
                               HasSubstr("/data/   (4500 bytes)"), HasSubstr(".risemlignore")));
  EXPECT_THAT(refusal(0, 0, 2),
              ::testing::AllOf(HasSubstr("the project has 3 files and empty directories; a revision may have 2"),
                               HasSubstr("/data/   (2 files)")));
  options_.limits.set_files(3);
  Take();
}

TEST_F(SnapshotTest, NoticesChangesAfterwards) {
  tree_.Write("a", "1");
  tree_.Write("b", "1");
  const Snapshot snapshot = Take();
  EXPECT_THAT(ChangedSince(snapshot), IsEmpty());
  tree_.Write("a", "22");
  tree_.Remove("b");
  EXPECT_THAT(ChangedSince(snapshot), ElementsAre("a", "b"));
}

// Writes to the file it is given, while it is given it, as often as it is told.
class Disturber final : public FileConsumer {
 public:
  Disturber(std::string path, int times) : path_(std::move(path)), left_(times) {}
  absl::Status Begin(std::int64_t) override {
    content.clear();
    return absl::OkStatus();
  }
  absl::Status Append(absl::string_view piece) override {
    absl::StrAppend(&content, piece);
    if (left_-- > 0) std::ofstream(path_, std::ios::app) << "+";
    return absl::OkStatus();
  }
  std::string content;

 private:
  const std::string path_;
  int left_;
};

TEST_F(SnapshotTest, AFileThatChangesWhileReadIsReadAgain) {
  tree_.Write("a", "1");
  Disturber twice(tree_.File("a"), 2);
  int retries = 5;
  const auto stamp = ReadStable(tree_.File("a"), twice, retries, options_.sleep);
  ASSERT_TRUE(stamp.ok()) << stamp.status();
  EXPECT_EQ(twice.content, "1++");
  EXPECT_EQ(stamp->bytes, 3);
  EXPECT_EQ(sleeps_, 2);
  EXPECT_EQ(retries, 3);
}

TEST_F(SnapshotTest, AFileThatNeverKeepsStillIsNamed) {
  tree_.Write("train.log", "1");
  Disturber always(tree_.File("train.log"), 1000);
  int retries = 3;
  const auto stamp = ReadStable(tree_.File("train.log"), always, retries, options_.sleep);
  EXPECT_TRUE(HasReason(stamp.status(), Reason::kFileChanged));
  EXPECT_THAT(std::string(stamp.status().message()), HasSubstr("train.log changed while it was read"));
  EXPECT_EQ(sleeps_, 3);
}

TEST_F(SnapshotTest, WhatIsNoFileAnyMoreIsGone) {
  Disturber quiet("", 0);
  EXPECT_TRUE(absl::IsNotFound(ReadOnce(tree_.File("gone"), quiet).status()));
  tree_.Link("link", "gone");
  EXPECT_TRUE(absl::IsNotFound(ReadOnce(tree_.File("link"), quiet).status()));
  ASSERT_EQ(mkfifo(tree_.File("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsNotFound(ReadOnce(tree_.File("pipe"), quiet).status()));
}

TEST_F(SnapshotTest, Case27CopiesHaveWhatWasRead) {
  for (const std::string& content : {std::string(), std::string("1"), std::string(600'000, 'x')}) {
    tree_.Write("a", content);
    Spool spool;
    ASSERT_TRUE(spool.Copy(tree_.File("a")).ok());
    const auto copied = spool.Copy(tree_.File("a"));  // behind the first one
    ASSERT_TRUE(copied.ok()) << copied.status();
    tree_.Write("a", "something else");
    EXPECT_EQ(copied->id, git::HashObject(git::ObjectKind::kBlob, content));
    Disturber reader("", 0);
    ASSERT_TRUE(spool.Read(copied->place, reader).ok());
    EXPECT_EQ(reader.content, content);
  }
  Spool spool;
  EXPECT_TRUE(absl::IsNotFound(spool.Copy(tree_.File("gone")).status()));
}

// Changes files while a snapshot waits to read one again: the sleep is the only place where a test can.
TEST_F(SnapshotTest, Case27AllFilesOfASnapshotAreAsTheyWereRead) {
  tree_.Write("a", "1");
  tree_.Write("log", "1");
  options_.copied = {"log"};
  const Snapshot snapshot = Take();
  ASSERT_TRUE(snapshot.files[1].spooled);
  EXPECT_FALSE(snapshot.files[0].spooled);
  EXPECT_THAT(ChangedSince(snapshot), IsEmpty());
  tree_.Write("log", "123");
  EXPECT_THAT(ChangedSince(snapshot), ElementsAre("log"));
  EXPECT_EQ(snapshot.files[1].id, git::HashObject(git::ObjectKind::kBlob, "1"));
}

TEST_F(SnapshotTest, Case15EmptyDirectoriesAreEntries) {
  tree_.Write("a.b", "1");
  tree_.Write("a/x", "2");
  tree_.Write("logs/.gitignore", "*.log\n");
  for (const char* path : {"a-c/d", "checkpoints", "z"}) std::filesystem::create_directories(tree_.File(path));
  const Snapshot snapshot = Take();
  const auto list = gitsync::RunShell(absl::StrCat(
      "cd ", tree_.path(),
      " && git init -q && mkdir -p objects && empty=$(git hash-object -w -t tree /dev/null) && "
      "inner=$(printf '040000 tree %s\\td\\n' $empty | git mktree) && "
      "{ printf '100644 blob %s\\ta.b\\n' $(git hash-object -w a.b); "
      "printf '040000 tree %s\\ta\\n' $(printf '100644 blob %s\\tx\\n' $(git hash-object -w a/x) | git mktree); "
      "printf '040000 tree %s\\ta-c\\n040000 tree %s\\tcheckpoints\\n040000 tree %s\\tz\\n' $inner $empty $empty; "
      "printf '040000 tree %s\\tlogs\\n' $(printf '100644 blob %s\\t.gitignore\\n' $(git hash-object -w "
      "logs/.gitignore) | git mktree); } | git mktree"));
  EXPECT_EQ(list.output, git::Hex(snapshot.tree) + "\n");
}

TEST_F(SnapshotTest, R2LfsPointersAreFoundEachTime) {
  tree_.Write(
      "weights.bin",
      absl::StrCat("version https://git-lfs.github.com/spec/v1\noid sha256:", std::string(64, '7'), "\nsize 132735\n"));
  tree_.Write("about.txt", "version https://git-lfs.github.com/spec/v1 is a format\n");
  EXPECT_THAT(Take().lfs_pointers, ElementsAre("weights.bin"));
  EXPECT_THAT(Take().lfs_pointers, ElementsAre("weights.bin"));
}

}  // namespace
}  // namespace riseml::sync
