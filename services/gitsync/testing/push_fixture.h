// A store of repositories with a pusher, in a directory of its own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/base/status_macros.h"
#include "services/gitsync/push.h"
#include "services/gitsync/testing/fake_registry.h"
#include "services/gitsync/testing/push_builder.h"
#include "services/gitsync/testing/test_directory.h"

namespace riseml::gitsync {

inline constexpr char kProject[] = "users/paul/projects/census";

class PushTest : public ::testing::Test {
 protected:
  PushTest() {
    limits_.revision_bytes = 1'000'000;
    limits_.file_bytes = 500'000;
    limits_.files = 20;
    OpenStore();
  }

  void OpenStore() {
    pusher_.reset();
    store_.reset();
    auto store = RepositoryStore::Open(data_.File("repositories"));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    pusher_ = std::make_unique<Pusher>(*store_, registry_, limits_, clock_);
  }

  PushTarget Target() const {
    return {kProject, ProjectId{registry_.UidOf(kProject)}, "paul", Author{.user = UserId{"u"}}};
  }

  absl::StatusOr<v1::PushResponse> Push(const PushBuilder& builder, const git::ObjectId& tree,
                                        const std::string& parent = "") {
    RISEML_ASSIGN_OR_RETURN(const auto session, pusher_->Begin(Header(kProject, tree, parent), Target()));
    for (const v1::PushFrame& frame : builder.Frames()) RISEML_RETURN_IF_ERROR(session->Add(frame));
    return session->Finish();
  }

  // Pushes a tree that has to be refused, and checks that nothing of it stays.
  std::string Refusal(const PushBuilder& builder, const git::ObjectId& tree) {
    const auto response = Push(builder, tree);
    EXPECT_FALSE(response.ok());
    EXPECT_EQ(registry_.projects(), 0);
    EXPECT_TRUE(std::filesystem::is_empty(data_.File("repositories/tmp")));
    return absl::StrCat(ReasonName(response.status()), " ", response.status().message());
  }

  std::string RepositoryPath() const {
    return data_.File(absl::StrCat("repositories/", registry_.UidOf(kProject), ".git"));
  }
  std::string Git(const std::string& arguments) {
    const CommandResult result = RunShell(absl::StrCat("git -C ", RepositoryPath(), " ", arguments));
    EXPECT_EQ(result.exit_code, 0) << arguments << "\n" << result.output;
    return result.output;
  }

  std::unique_ptr<GitLibrary> library_ = *GitLibrary::Start();
  TestDirectory data_;
  FakeRegistry registry_;
  FakeClock clock_;
  Limits limits_;
  std::unique_ptr<RepositoryStore> store_;
  std::unique_ptr<Pusher> pusher_;
};

}  // namespace riseml::gitsync
