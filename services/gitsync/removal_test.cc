// Repositories of deleted projects, pushes that are under way meanwhile, and the bytes that a repository takes.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/walk_tree.h"
#include "services/common/base/status.h"
#include "services/gitsync/testing/push_fixture.h"

namespace riseml::gitsync {
namespace {

namespace fs = std::filesystem;
using git::Mode;

class RemovalTest : public PushTest {
 protected:
  ProjectId Id() const { return ProjectId{registry_.UidOf(kProject)}; }
  std::string PathOf(const ProjectId& id) const { return data_.File(absl::StrCat("repositories/", id.value, ".git")); }
  bool NothingTemporary() const { return fs::is_empty(data_.File("repositories/tmp")); }
  absl::StatusOr<v1::PushResponse> PushText(const std::string& text, const std::string& parent = "") {
    PushBuilder push;
    return Push(push, push.Tree({{"a", Mode::kFile, push.Blob(text)}}), parent);
  }
};

void ExpectDeleted(const absl::Status& status) {
  EXPECT_TRUE(HasReason(status, Reason::kNotFound)) << status;
  EXPECT_EQ(std::string(status.message()),
            "users/paul/projects/census was deleted during the push; push again to make a new project of this name");
}

TEST_F(RemovalTest, ARepositoryIsRemovedOnceAndForAll) {
  ASSERT_TRUE(PushText("1").ok());
  const ProjectId id = Id();
  EXPECT_TRUE(store_->RemoveRepository(id).ok());
  EXPECT_FALSE(fs::exists(PathOf(id)));
  EXPECT_TRUE(NothingTemporary());
  EXPECT_TRUE(store_->RemoveRepository(id).ok()) << "absent counts as removed";
  EXPECT_TRUE(HasReason(store_->OpenRepository(id).status(), Reason::kNotFound));
  EXPECT_TRUE(HasReason(store_->EnsureRepository(id).status(), Reason::kNotFound));
  EXPECT_FALSE(fs::exists(PathOf(id)));
  EXPECT_EQ(store_->RemoveRepository(ProjectId{".."}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RemovalTest, AStartRemovesWhatAnInterruptedRemovalLeft) {
  ASSERT_TRUE(PushText("1").ok());
  const ProjectId id = Id();
  fs::rename(PathOf(id), data_.File("repositories/tmp/half"));
  OpenStore();
  EXPECT_TRUE(NothingTemporary());
  EXPECT_TRUE(store_->RemoveRepository(id).ok());
}

TEST_F(RemovalTest, APushAfterTheDeletionMakesANewProject) {
  const auto first = PushText("1");
  ASSERT_TRUE(first.ok()) << first.status();
  const ProjectId old = Id();
  registry_.Delete(kProject);
  ASSERT_TRUE(store_->RemoveRepository(old).ok());
  const auto again = PushText("1");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->project_created());
  EXPECT_EQ(again->revision().number(), 1);
  EXPECT_NE(Id(), old);
  EXPECT_TRUE(fs::exists(PathOf(Id())));
}

TEST_F(RemovalTest, APushWhoseProjectIsDeletedBeforeItsEndMakesNothing) {
  const auto first = PushText("1");
  ASSERT_TRUE(first.ok()) << first.status();
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("2")}});
  const auto session = pusher_->Begin(Header(kProject, tree, first->revision().commit()), Target());
  ASSERT_TRUE(session.ok()) << session.status();
  for (const auto& frame : push.Frames()) ASSERT_TRUE((*session)->Add(frame).ok());
  registry_.Delete(kProject);
  ExpectDeleted((*session)->Finish().status());
  EXPECT_EQ(registry_.projects(), 0) << "it does not make the project anew";
}

TEST_F(RemovalTest, APushDoesNotEndInANewProjectOfTheSameName) {
  const auto first = PushText("1");
  ASSERT_TRUE(first.ok()) << first.status();
  const PushTarget target = Target();
  PushBuilder push;  // without the blob, which the old repository has
  const auto tree = push.Tree({{"b", Mode::kFile, git::HashObject(git::ObjectKind::kBlob, "1")}});
  const auto session = pusher_->Begin(Header(kProject, tree, first->revision().commit()), target);
  ASSERT_TRUE(session.ok()) << session.status();
  for (const auto& frame : push.Frames()) ASSERT_TRUE((*session)->Add(frame).ok());
  registry_.Delete(kProject);
  ASSERT_TRUE(PushText("other").ok());
  ExpectDeleted((*session)->Finish().status());
  ExpectDeleted(pusher_->Begin(Header(kProject, tree), target).status());
}

TEST_F(RemovalTest, APushThatApiDoesNotKnowAnyMoreLeavesNoRepository) {
  const auto first = PushText("1");
  ASSERT_TRUE(first.ok()) << first.status();
  const ProjectId id = Id();
  registry_.DeleteBeforeNextRegister(kProject);
  ExpectDeleted(PushText("2", first->revision().commit()).status());
  ASSERT_TRUE(store_->RemoveRepository(id).ok());  // as the list of removals asks for
  EXPECT_FALSE(fs::exists(PathOf(id)));
  EXPECT_TRUE(NothingTemporary());
}

TEST_F(RemovalTest, APushAfterTheRemovalDoesNotBringTheRepositoryBack) {
  const auto first = PushText("1");
  ASSERT_TRUE(first.ok()) << first.status();
  // The registry still knows the project: the push was under way when it was deleted.
  const ProjectId id = Id();
  ASSERT_TRUE(store_->RemoveRepository(id).ok());
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("2")}});
  ExpectDeleted(pusher_->Begin(Header(kProject, tree, first->revision().commit()), Target()).status());
  EXPECT_FALSE(fs::exists(PathOf(id)));
}

TEST_F(RemovalTest, ARemovalInTheMiddleOfAPushLeavesNoRepository) {
  const auto first = PushText("1");
  ASSERT_TRUE(first.ok()) << first.status();
  const ProjectId id = Id();
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("2")}});
  const auto session = pusher_->Begin(Header(kProject, tree, first->revision().commit()), Target());
  ASSERT_TRUE(session.ok()) << session.status();
  for (const auto& frame : push.Frames()) ASSERT_TRUE((*session)->Add(frame).ok());
  ASSERT_TRUE(store_->RemoveRepository(id).ok());
  ExpectDeleted((*session)->Finish().status());
  EXPECT_FALSE(fs::exists(PathOf(id)));
}

TEST_F(RemovalTest, PushesAndRemovalsAtOnceLeaveTheNewestProjectOnly) {
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(PushText("1").ok());
    const ProjectId old = Id();
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 3; ++i)
        threads.emplace_back([&, i] {
          const absl::Status pushed = PushText(absl::StrCat("new ", i)).status();
          EXPECT_TRUE(pushed.ok() || HasReason(pushed, Reason::kNotFound) || HasReason(pushed, Reason::kPushOutdated))
              << pushed;
        });
      threads.emplace_back([&] {
        registry_.Delete(kProject);
        EXPECT_TRUE(store_->RemoveRepository(old).ok());
      });
    }
    EXPECT_FALSE(fs::exists(PathOf(old)));
    EXPECT_TRUE(NothingTemporary());
    const ProjectId last = Id();
    registry_.Delete(kProject);
    if (!last.value.empty()) ASSERT_TRUE(store_->RemoveRepository(last).ok());
    for (const auto& entry : fs::directory_iterator(data_.File("repositories")))
      EXPECT_NE(entry.path().extension(), ".git") << entry.path();
  }
}

TEST_F(RemovalTest, TheRegistryLearnsWhatTheRepositoryTakes) {
  const auto first = PushText(std::string(400'000, '1'));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GT(registry_.repository_bytes(), 400'000);
  EXPECT_LE(registry_.repository_bytes(), DiskBytesBelow(PathOf(Id())));
  const std::int64_t before = registry_.repository_bytes();
  ASSERT_TRUE(PushText(std::string(300'000, '2'), first->revision().commit()).ok());
  EXPECT_GT(registry_.repository_bytes(), before + 300'000);
}

TEST_F(RemovalTest, APackThatIsTooMuchForTheOwnerIsNotAdded) {
  registry_.SetBytesLeft(200'000);
  const absl::Status refused = PushText(std::string(300'000, '1')).status();
  EXPECT_TRUE(HasReason(refused, Reason::kLimitExceeded)) << refused;
  EXPECT_EQ(registry_.projects(), 0);
  EXPECT_TRUE(NothingTemporary());
  const auto first = PushText("1");
  ASSERT_TRUE(first.ok()) << first.status();
  const std::int64_t before = DiskBytesBelow(PathOf(Id()));
  EXPECT_TRUE(
      HasReason(PushText(std::string(300'000, '2'), first->revision().commit()).status(), Reason::kLimitExceeded));
  EXPECT_EQ(DiskBytesBelow(PathOf(Id())), before);
  registry_.SetBytesLeft(0);
  EXPECT_TRUE(PushText("1", first->revision().commit()).ok()) << "nothing is added";
}

}  // namespace
}  // namespace riseml::gitsync
