// What a store holds: archives and entries of its trees, and what happens to packs when it starts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/gitsync/archive.h"
#include "services/gitsync/entries.h"
#include "services/gitsync/repository/pack_merge.h"
#include "services/gitsync/testing/push_fixture.h"

namespace riseml::gitsync {
namespace {

using git::Mode;
using ::testing::HasSubstr;

using RepositoryStoreTest = PushTest;

TEST_F(RepositoryStoreTest, AnArchiveIsTheTree) {
  PushBuilder push;
  const std::string long_name(120, 'n');
  const auto inner = push.Tree({{long_name, Mode::kFile, push.Blob("long")}, {"größe", Mode::kFile, push.Blob("u")}});
  const auto tree = push.Tree({{"dir", Mode::kDirectory, inner},
                               {"dir.txt", Mode::kFile, push.Blob("t")},
                               {"run", Mode::kExecutable, push.Blob(std::string(300'000, 'x'))},
                               {"link", Mode::kSymlink, push.Blob("dir/" + long_name)}});
  const auto response = Push(push, tree);
  ASSERT_TRUE(response.ok()) << response.status();
  const auto repository = store_->OpenRepository(ProjectId{registry_.UidOf(kProject)});
  const auto archive = [&] {
    std::string bytes;
    EXPECT_TRUE(WriteArchive(*repository, response->revision().commit(), [&bytes](absl::string_view piece) {
                  EXPECT_LE(piece.size(), 256u * 1024);
                  absl::StrAppend(&bytes, piece);
                  return absl::OkStatus();
                }).ok());
    return bytes;
  };
  const std::string bytes = archive();
  EXPECT_EQ(bytes, archive());
  data_.Write("ours.tar", bytes);
  const CommandResult result = RunShell(absl::StrCat(
      "set -e; cd ", data_.path(), "; mkdir ours theirs; tar -x -f ours.tar -C ours; git -C ", RepositoryPath(),
      " archive main | tar -x -C theirs; diff -r --no-dereference ours theirs; test -x ours/run; readlink ours/link; "
      "tar -t -v --numeric-owner --utc -f ours.tar | awk '{print $2, $4, $5}' | sort -u"));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, absl::StrCat("dir/", long_name, "\n0/0 2023-11-14 22:13\n"));
}

TEST_F(RepositoryStoreTest, Entries) {
  PushBuilder push;
  const auto blob = push.Blob("1");
  const auto inner =
      push.Tree({{"a", Mode::kFile, blob}, {"large", Mode::kFile, push.Blob(std::string(300'000, 'x'))}});
  const auto link = push.Blob("d");
  const auto response = Push(push, push.Tree({{"d", Mode::kDirectory, inner}, {"e", Mode::kSymlink, link}}));
  ASSERT_TRUE(response.ok()) << response.status();
  const auto repository = store_->OpenRepository(ProjectId{registry_.UidOf(kProject)});
  const auto read = ReadEntries(*repository, response->revision().commit(),
                                {"d/a", "d", "d/b", "d/a/x", "", "/", "../d/a", "d/large", "e", "e/a"});
  ASSERT_TRUE(read.ok()) << read.status();
  const auto& entries = read->entries();
  ASSERT_EQ(entries.size(), 6u);
  EXPECT_EQ(entries.at("e").kind(), internal::v1::CodeEntry::LINK);
  EXPECT_EQ(entries.at("e").content(), "d");
  EXPECT_EQ(entries.at("e/a").id(), git::Hex(blob));
  EXPECT_EQ(entries.at("d/a").id(), git::Hex(blob));
  EXPECT_EQ(entries.at("d/a").content(), "1");
  EXPECT_TRUE(entries.at("d/large").content_left_out());
  EXPECT_EQ(entries.at("d").id(), git::Hex(inner));
  EXPECT_EQ(entries.at("d").children().at("a").id(), git::Hex(blob));
  EXPECT_EQ(entries.at("").children().at("d").kind(), internal::v1::CodeEntry::DIRECTORY);
  EXPECT_TRUE(HasReason(ReadEntries(*repository, std::string(40, '0'), {"a"}).status(), Reason::kNotFound));
}

TEST_F(RepositoryStoreTest, AStartRemovesWhatACrashLeft) {
  PushBuilder push;
  const auto one = Push(push, push.Tree({{"a", Mode::kFile, push.Blob("1")}}));
  ASSERT_TRUE(one.ok());
  data_.Write("repositories/tmp/push/spool", "half");
  const std::string repository = absl::StrCat("repositories/", registry_.UidOf(kProject), ".git");
  for (const char* file : {"/refs/heads/main.lock", "/objects/tmp_object_git2_x", "/objects/pack/pack-1.pack"})
    data_.Write(absl::StrCat(repository, file), "half");
  OpenStore();
  EXPECT_TRUE(std::filesystem::is_empty(data_.File("repositories/tmp")));
  EXPECT_FALSE(std::filesystem::exists(data_.File(repository + "/objects/pack/pack-1.pack")));
  PushBuilder next;
  const auto two = Push(next, next.Tree({{"a", Mode::kFile, next.Blob("2")}}), one->revision().commit());
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(Git("show main:a"), "2");
}

TEST_F(RepositoryStoreTest, AStartMergesManyPacks) {
  const auto packs = [&] {
    return RunShell(absl::StrCat("ls ", RepositoryPath(), "/objects/pack/*.pack | wc -l")).output;
  };
  std::string head;
  const auto push = [&](int i) {
    PushBuilder builder;
    const auto response = Push(builder, builder.Tree({{"a", Mode::kFile, builder.Blob(absl::StrCat(i))}}), head);
    ASSERT_TRUE(response.ok()) << response.status();
    head = response->revision().commit();
  };
  for (int i = 0; i < kManyPacks; ++i) push(i);
  OpenStore();
  EXPECT_EQ(packs(), absl::StrCat(kManyPacks, "\n"));
  push(kManyPacks);
  OpenStore();
  EXPECT_EQ(packs(), "1\n");
  EXPECT_TRUE(std::filesystem::is_empty(data_.File("repositories/tmp")));
  EXPECT_EQ(Git("fsck --strict --full"), "");
  EXPECT_EQ(Git("rev-list --count main"), absl::StrCat(kManyPacks + 1, "\n"));
  EXPECT_EQ(Git("show main~50:a main:a"), absl::StrCat("0", kManyPacks));
  push(1000);
}

TEST_F(RepositoryStoreTest, APackThatIsDamagedStaysAsItIs) {
  std::string head;
  for (int i = 0; i <= kManyPacks; ++i) {
    PushBuilder builder;
    const auto response =
        Push(builder, builder.Tree({{"a", Mode::kFile, builder.Blob(absl::StrCat("text ", i))}}), head);
    ASSERT_TRUE(response.ok()) << response.status();
    head = response->revision().commit();
  }
  const std::string count = absl::StrCat("ls ", RepositoryPath(), "/objects/pack/*.pack | wc -l");
  const CommandResult damage =
      RunShell(absl::StrCat("f=$(ls ", RepositoryPath(),
                            "/objects/pack/*.pack | head -1); chmod +w $f; printf '\\377\\377\\377\\377' | "
                            "dd of=$f bs=1 seek=20 conv=notrunc status=none"));
  ASSERT_EQ(damage.exit_code, 0) << damage.output;
  OpenStore();
  EXPECT_EQ(RunShell(count).output, absl::StrCat(kManyPacks + 1, "\n"));
}

TEST_F(RepositoryStoreTest, AStoreBelongsToOneProcess) {
  const auto second = RepositoryStore::Open(data_.File("repositories"));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
}

TEST_F(RepositoryStoreTest, ANewerFormatIsRefused) {
  data_.Write("newer/FORMAT", "2\n");
  EXPECT_TRUE(HasReason(RepositoryStore::Open(data_.File("newer")).status(), Reason::kNewerFormat));
}

TEST_F(RepositoryStoreTest, AProjectIdIsNoPath) {
  EXPECT_EQ(store_->OpenRepository(ProjectId{"../../etc"}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace riseml::gitsync
