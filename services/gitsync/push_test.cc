// Pushes: what becomes a revision, and what is refused.
#include "services/gitsync/push.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/gitsync/testing/push_fixture.h"

namespace riseml::gitsync {
namespace {

using git::Mode;
using ::testing::HasSubstr;

TEST_F(PushTest, MakesARevisionThatGitUnderstands) {
  PushBuilder push;
  const auto source =
      push.Tree({{"model.py", Mode::kFile, push.Blob("print(1)\n")}, {"empty", Mode::kFile, push.Blob("")}});
  const auto tree = push.Tree({{"src", Mode::kDirectory, source},
                               {"run.sh", Mode::kExecutable, push.Blob("#!/bin/sh\n")},
                               {"big", Mode::kFile, push.Blob(std::string(400'000, 'b'))},
                               {"link", Mode::kSymlink, push.Blob("src/model.py")}});
  const auto response = Push(push, tree);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->created());
  EXPECT_TRUE(response->project_created());
  EXPECT_EQ(response->revision().tree(), git::Hex(tree));
  EXPECT_EQ(response->revision().file_count(), 5);
  EXPECT_EQ(response->revision().total_bytes(), 9 + 10 + 400'000 + 12);

  const std::string commit = response->revision().commit();
  EXPECT_EQ(Git("rev-parse refs/heads/main HEAD refs/revisions/" + commit),
            absl::StrCat(commit, "\n", commit, "\n", commit, "\n"));
  EXPECT_EQ(Git("fsck --strict --full"), "");
  EXPECT_EQ(Git("log -1 --format='%an|%ae|%at|%s' main"), "paul|paul@riseml|1700000000|Pushed by paul\n");
  EXPECT_EQ(Git("ls-tree -r --format='%(objectmode) %(path)' main"),
            "100644 big\n120000 link\n100755 run.sh\n100644 src/empty\n100644 src/model.py\n");
  EXPECT_EQ(RunShell(absl::StrCat("git clone -q ", RepositoryPath(), " ", data_.File("clone"), " && cat ",
                                  data_.File("clone/link")))
                .output,
            "print(1)\n");
}

TEST_F(PushTest, TheSameTreeIsTheSameRevision) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  const auto first = Push(push, tree);
  ASSERT_TRUE(first.ok()) << first.status();
  for (const std::string& parent : {std::string(), first->revision().commit()}) {
    const auto again = Push(PushBuilder(), tree, parent);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_FALSE(again->created());
    EXPECT_FALSE(again->project_created());
    EXPECT_EQ(again->revision().commit(), first->revision().commit());
  }
  EXPECT_EQ(Git("rev-list --count main"), "1\n");
}

TEST_F(PushTest, OnlyWhatIsNewTravels) {
  PushBuilder first;
  const auto kept = first.Tree({{"x", Mode::kFile, first.Blob("x")}});
  const auto one = Push(first, first.Tree({{"a", Mode::kFile, first.Blob("1")}, {"d", Mode::kDirectory, kept}}));
  ASSERT_TRUE(one.ok()) << one.status();
  clock_.Advance(absl::Seconds(5));
  PushBuilder second;
  const auto tree = second.Tree({{"a", Mode::kFile, second.Blob("2")}, {"d", Mode::kDirectory, kept}});
  const auto two = Push(second, tree, one->revision().commit());
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(two->revision().number(), 2);
  EXPECT_EQ(two->revision().file_count(), 2);
  EXPECT_EQ(Git("show main:a main:d/x"), "2x");
  EXPECT_EQ(Git("rev-list main"), absl::StrCat(two->revision().commit(), "\n", one->revision().commit(), "\n"));
  EXPECT_EQ(Git("fsck --strict --full"), "");
}

TEST_F(PushTest, AnOldTreeBecomesANewRevisionWithoutAnyObject) {
  PushBuilder first, second;
  const auto tree = first.Tree({{"a", Mode::kFile, first.Blob("1")}});
  const auto one = Push(first, tree);
  const auto two = Push(second, second.Tree({{"a", Mode::kFile, second.Blob("2")}}), one->revision().commit());
  const auto three = Push(PushBuilder(), tree, two->revision().commit());
  ASSERT_TRUE(three.ok()) << three.status();
  EXPECT_TRUE(three->created());
  EXPECT_NE(three->revision().commit(), one->revision().commit());
  EXPECT_EQ(Git("rev-list --count main"), "3\n");
}

TEST_F(PushTest, AnEmptyProjectIsARevision) {
  PushBuilder push;
  const auto response = Push(push, push.Tree({}));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->revision().file_count(), 0);
  EXPECT_EQ(Git("ls-tree main"), "");
}

TEST_F(PushTest, AnOutdatedParentIsRefusedAtOnce) {
  PushBuilder first, second;
  ASSERT_TRUE(Push(first, first.Tree({{"a", Mode::kFile, first.Blob("1")}})).ok());
  const auto session = pusher_->Begin(Header(kProject, second.Tree({{"a", Mode::kFile, second.Blob("2")}})), Target());
  EXPECT_TRUE(HasReason(session.status(), Reason::kPushOutdated)) << session.status();
}

TEST_F(PushTest, OfTwoPushesAtOnceOneIsOutdated) {
  PushBuilder first, second;
  const auto tree1 = first.Tree({{"a", Mode::kFile, first.Blob("1")}});
  const auto tree2 = second.Tree({{"a", Mode::kFile, second.Blob("2")}});
  const auto one = pusher_->Begin(Header(kProject, tree1), Target());
  const auto two = pusher_->Begin(Header(kProject, tree2), Target());
  for (const auto& frame : first.Frames()) ASSERT_TRUE((*one)->Add(frame).ok());
  for (const auto& frame : second.Frames()) ASSERT_TRUE((*two)->Add(frame).ok());
  ASSERT_TRUE((*one)->Finish().ok());
  const auto late = (*two)->Finish();
  EXPECT_TRUE(HasReason(late.status(), Reason::kPushOutdated)) << late.status();
  EXPECT_EQ(Git("show main:a"), "1");
}

TEST_F(PushTest, OfTwoPushesOfOneTreeBothGetTheRevision) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  const auto one = pusher_->Begin(Header(kProject, tree), Target());
  const auto two = pusher_->Begin(Header(kProject, tree), Target());
  for (const auto& frame : push.Frames()) ASSERT_TRUE((*one)->Add(frame).ok());
  for (const auto& frame : push.Frames()) ASSERT_TRUE((*two)->Add(frame).ok());
  const auto first = (*one)->Finish();
  clock_.Advance(absl::Seconds(1));
  const auto second = (*two)->Finish();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(second->created());
  EXPECT_EQ(second->revision().commit(), first->revision().commit());
}

TEST_F(PushTest, ARegistryThatFailsLeavesNoRevision) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  registry_.FailNextRegister(Error(Reason::kUnavailable, "api is away"));
  EXPECT_TRUE(HasReason(Push(push, tree).status(), Reason::kUnavailable));
  EXPECT_EQ(Git("for-each-ref"), "");
  // The objects are there: the next try needs none.
  const auto again = Push(PushBuilder(), tree);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->created());
  EXPECT_EQ(Git("fsck --strict --full --no-dangling"), "");
}

TEST_F(PushTest, AnAnswerThatWasLostIsFoundAgain) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  registry_.LoseNextAnswer(Error(Reason::kUnavailable, "connection reset"));
  ASSERT_FALSE(Push(push, tree).ok());
  const auto again = Push(PushBuilder(), tree);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->created());
  EXPECT_EQ(Git("rev-parse main"), again->revision().commit() + "\n");
}

TEST_F(PushTest, ARevisionWhoseRepositoryIsGoneIsDataLoss) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  ASSERT_TRUE(Push(push, tree).ok());
  std::filesystem::remove_all(RepositoryPath());
  EXPECT_EQ(Push(push, tree).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(PushTest, RefusesContentThatDoesNotMatchItsId) {
  PushBuilder push;
  const auto id = git::HashObject(git::ObjectKind::kBlob, "right");
  push.Forged(id, "wrong");
  EXPECT_THAT(Refusal(push, push.Tree({{"a", Mode::kFile, id}})), HasSubstr("INVALID_ARGUMENT object " + git::Hex(id)));
}

TEST_F(PushTest, RefusesAMissingObject) {
  PushBuilder push;
  const auto absent = git::HashObject(git::ObjectKind::kBlob, "absent");
  const auto inner = push.Tree({{"a", Mode::kFile, absent}});
  EXPECT_THAT(Refusal(push, push.Tree({{"d", Mode::kDirectory, inner}})),
              HasSubstr("d/a needs object " + git::Hex(absent)));
  EXPECT_THAT(Refusal(PushBuilder(), absent), HasSubstr("root needs object"));
}

TEST_F(PushTest, ObjectsOfAnotherProjectDoNotCount) {
  PushBuilder push;
  const auto blob = push.Blob("1");
  ASSERT_TRUE(Push(push, push.Tree({{"a", Mode::kFile, blob}})).ok());
  const PushTarget other{"users/ada/projects/other", {}, "ada", Author{.user = UserId{"v"}}};
  for (const auto& tree : {push.Tree({{"a", Mode::kFile, blob}}), git::HashObject(git::ObjectKind::kTree, "")}) {
    const auto session = pusher_->Begin(Header(other.project, tree), other);
    ASSERT_TRUE(session.ok());
    EXPECT_THAT(std::string((*session)->Finish().status().message()), HasSubstr("needs object"));
  }
}

TEST_F(PushTest, RefusesObjectsThatBelongToNothing) {
  PushBuilder push;
  push.Blob("stray");
  EXPECT_THAT(Refusal(push, push.Tree({{"a", Mode::kFile, push.Blob("1")}})),
              HasSubstr("1 objects of the push are not part"));
}

TEST_F(PushTest, RefusesNamesACheckoutMustNotCreate) {
  for (const std::string& name : std::vector<std::string>{"..", ".", ".git", ".GiT", "a/b", "", "\xff"}) {
    PushBuilder push;
    const auto blob = push.Blob("1");
    const std::string entry = absl::StrCat("100644 ", name, absl::string_view("\0", 1), git::Raw(blob));
    const auto inner = push.RawTree(entry);
    EXPECT_THAT(Refusal(push, push.Tree({{"d", Mode::kDirectory, inner}})), HasSubstr("INVALID_ARGUMENT d: ")) << name;
  }
}

TEST_F(PushTest, Case9LinksMayLeadAnywhere) {
  std::string head;
  for (const std::string& target : std::vector<std::string>{"/etc/passwd", "../x", "a/../../x", "..", "link"}) {
    PushBuilder push;
    const auto inner = push.Tree({{"link", Mode::kSymlink, push.Blob(target)}});
    const auto pushed =
        Push(push, push.Tree({{"d", Mode::kDirectory, inner}, {"l", Mode::kSymlink, push.Blob(target)}}), head);
    ASSERT_TRUE(pushed.ok()) << target << ": " << pushed.status();
    head = pushed->revision().commit();
  }
}

TEST_F(PushTest, RefusesLinksWithoutAUsableTarget) {
  PushBuilder long_link;
  EXPECT_THAT(Refusal(long_link, long_link.Tree({{"link", Mode::kSymlink, long_link.Blob(std::string(4001, 'a'))}})),
              HasSubstr("longer than 4,000"));
  PushBuilder empty;
  EXPECT_THAT(Refusal(empty, empty.Tree({{"link", Mode::kSymlink, empty.Blob("")}})), HasSubstr("no target"));
}

TEST_F(PushTest, RefusesEntriesOfTheWrongKind) {
  PushBuilder push;
  const auto tree = push.Tree({{"x", Mode::kFile, push.Blob("1")}});
  EXPECT_THAT(Refusal(push, push.Tree({{"a", Mode::kFile, tree}})), HasSubstr("a is said to be a file"));
  PushBuilder other;
  EXPECT_THAT(Refusal(other, other.Tree({{"a", Mode::kDirectory, other.Blob("1")}})),
              HasSubstr("a is said to be a directory"));
}

TEST_F(PushTest, Case15EmptyDirectoriesAreKept) {
  PushBuilder push;
  const auto none = push.Tree({});
  const auto tree = push.Tree({{"a", Mode::kDirectory, push.Tree({{"b", Mode::kDirectory, none}})},
                               {"checkpoints", Mode::kDirectory, none},
                               {"x", Mode::kFile, push.Blob("1")}});
  const auto response = Push(push, tree);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->revision().file_count(), 1);
  EXPECT_EQ(Git("ls-tree -rtd --name-only main"), "a\na/b\ncheckpoints\n");
  EXPECT_EQ(Git("fsck --strict --full"), "");
  const std::string clone = data_.File("clone");
  EXPECT_EQ(RunShell(absl::StrCat("git clone -q ", RepositoryPath(), " ", clone, " && ls ", clone)).output, "x\n");
}

TEST_F(PushTest, EmptyDirectoriesCountForTheLimitOnFiles) {
  PushBuilder push;
  git::ObjectId tree = push.Tree({});
  for (int level = 0; level < 5; ++level)
    tree = push.Tree({{"a", Mode::kDirectory, tree}, {"b", Mode::kDirectory, tree}});
  EXPECT_THAT(Refusal(push, tree), HasSubstr("20 files and empty directories"));
}

TEST_F(PushTest, RefusesWhatIsOverTheLimits) {
  PushBuilder large;
  EXPECT_THAT(Refusal(large, large.Tree({{"a", Mode::kFile, large.Blob(std::string(500'001, 'x'))}})),
              HasSubstr("LIMIT_EXCEEDED a file of 500001 bytes"));
  PushBuilder sum;
  const auto tree = sum.Tree({{"a", Mode::kFile, sum.Blob(std::string(400'000, '1'))},
                              {"b", Mode::kFile, sum.Blob(std::string(400'000, '2'))},
                              {"c", Mode::kFile, sum.Blob(std::string(400'000, '3'))}});
  EXPECT_THAT(Refusal(sum, tree), HasSubstr("LIMIT_EXCEEDED the push has more than 1000000 bytes"));
  // Once uploaded, three times in the tree.
  PushBuilder shared;
  const auto blob = shared.Blob(std::string(400'000, '1'));
  EXPECT_THAT(
      Refusal(shared, shared.Tree({{"a", Mode::kFile, blob}, {"b", Mode::kFile, blob}, {"c", Mode::kFile, blob}})),
      HasSubstr("LIMIT_EXCEEDED the revision has more than 1000000 bytes"));
}

TEST_F(PushTest, RefusesTreesThatMultiply) {
  // 21 levels of 2 make 2 million files of 22 objects.
  PushBuilder bomb;
  auto tree = bomb.Tree({{"f", Mode::kFile, bomb.Blob("")}});
  for (int level = 0; level < 21; ++level)
    tree = bomb.Tree({{"a", Mode::kDirectory, tree}, {"b", Mode::kDirectory, tree}});
  EXPECT_THAT(Refusal(bomb, tree), HasSubstr("LIMIT_EXCEEDED the revision has more than 20 files"));
}

TEST_F(PushTest, RefusesTreesThatAreTooDeep) {
  PushBuilder deep;
  auto tree = deep.Tree({{"f", Mode::kFile, deep.Blob("")}});
  for (int level = 0; level < kMaxDepth; ++level) tree = deep.Tree({{"a", Mode::kDirectory, tree}});
  EXPECT_THAT(Refusal(deep, tree), HasSubstr("directories deep"));
}

TEST_F(PushTest, RefusesAHeaderThatIsNone) {
  v1::PushHeader header;
  header.set_tree("short");
  EXPECT_EQ(pusher_->Begin(header, Target()).status().code(), absl::StatusCode::kInvalidArgument);
  header = Header(kProject, {}, "not hex");
  EXPECT_EQ(pusher_->Begin(header, Target()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace riseml::gitsync
