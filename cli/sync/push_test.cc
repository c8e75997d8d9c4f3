// The client against gitsync's real listeners.
#include "cli/sync/push.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/gitsync/testing/test_server.h"

namespace riseml::sync {
namespace {

using gitsync::RunShell;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kProject[] = "users/paul/projects/census";

class PushTest : public ::testing::Test {
 protected:
  PushTest() {
    options_.project = kProject;
    options_.credential = "paul-key";
    snapshot_options_.root = tree_.path();
    snapshot_options_.cache_directory = cache_.path();
    snapshot_options_.clock = &clock_;
    snapshot_options_.sleep = [](absl::Duration) {};
  }
  absl::StatusOr<SyncOutcome> Sync() { return SyncProject(server_.files(), options_, snapshot_options_); }
  std::string Git(const std::string& arguments) {
    return RunShell(absl::StrCat("git -C ", server_.RepositoryPath(kProject), " ", arguments)).output;
  }

  gitsync::TestServer server_{gitsync::Limits{.revision_bytes = 20'000'000, .file_bytes = 3'000'000, .files = 3000}};
  gitsync::TestDirectory tree_, cache_;
  SystemClock clock_;
  PushOptions options_;
  SnapshotOptions snapshot_options_;
};

TEST_F(PushTest, WhatIsClonedIsWhatWasPushed) {
  tree_.Write("train.py", "print(1)\n");
  tree_.Write("run.sh", "#!/bin/sh\n", true);
  tree_.Write("data/large.bin", std::string(2'500'000, 'x') + "end");
  tree_.Write("data/empty", "");
  tree_.Write("copy/train.py", "print(1)\n");
  tree_.Link("data/link", "../train.py");
  std::vector<std::pair<std::int64_t, std::int64_t>> progress;
  options_.progress = [&](std::int64_t done, std::int64_t total) { progress.emplace_back(done, total); };
  const auto outcome = Sync();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(outcome->push.response.created());
  EXPECT_TRUE(outcome->push.response.project_created());
  EXPECT_EQ(outcome->push.uploaded_objects, 5 + 3);
  EXPECT_THAT(outcome->still_moving, IsEmpty());
  EXPECT_EQ(progress.front().first, 0);
  EXPECT_EQ(progress.back().first, progress.back().second);
  EXPECT_EQ(outcome->push.uploaded_bytes, progress.back().second);

  const std::string clone = server_.directory().File("clone");
  const auto diff = RunShell(absl::StrCat("git clone -q ", server_.RepositoryPath(kProject), " ", clone,
                                          " && diff -r --no-dereference -x .git ", tree_.path(), " ", clone,
                                          " && test -x ", clone, "/run.sh"));
  EXPECT_EQ(diff.exit_code, 0) << diff.output;
  EXPECT_EQ(Git("fsck --strict --full"), "");
}

TEST_F(PushTest, AnUnchangedProjectSendsNothing) {
  tree_.Write("a", "1");
  const auto first = Sync();
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Sync();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE(second->push.response.created());
  EXPECT_EQ(second->push.response.revision().name(), first->push.response.revision().name());
  EXPECT_EQ(second->push.uploaded_objects, 0);
}

TEST_F(PushTest, OneChangeSendsOneFileAndItsDirectories) {
  for (int i = 0; i < 800; ++i) tree_.Write(absl::StrCat("d", i % 20, "/f", i), absl::StrCat(i));
  const auto first = Sync();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->push.uploaded_objects, 800 + 21);
  tree_.Write("d3/f3", "changed");
  const auto second = Sync();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(second->push.response.created());
  EXPECT_EQ(second->push.uploaded_objects, 3);
  EXPECT_EQ(second->push.response.revision().number(), 2);
  EXPECT_EQ(Git("show main:d3/f3"), "changed");
  const auto third = Sync();  // the question about the root alone is enough
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_EQ(third->push.uploaded_objects, 0);
  EXPECT_FALSE(third->push.response.created());
}

TEST_F(PushTest, GoingBackIsANewRevision) {
  tree_.Write("a", "1");
  ASSERT_TRUE(Sync().ok());
  tree_.Write("a", "2");
  ASSERT_TRUE(Sync().ok());
  tree_.Write("a", "1");
  const auto third = Sync();
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_TRUE(third->push.response.created());
  EXPECT_EQ(third->push.response.revision().number(), 3);
  EXPECT_EQ(third->push.uploaded_objects, 0);
}

TEST_F(PushTest, AnotherPushInBetweenIsNoError) {
  tree_.Write("a", "1");
  ASSERT_TRUE(Sync().ok());
  tree_.Write("a", std::string(600'000, '2'));
  // While the first upload reports its progress somebody else pushes.
  bool done = false;
  options_.progress = [&](std::int64_t, std::int64_t) {
    if (std::exchange(done, true)) return;
    gitsync::TestDirectory other;
    other.Write("b", "other");
    PushOptions options = options_;
    options.progress = nullptr;
    SnapshotOptions snapshot = snapshot_options_;
    snapshot.root = other.path();
    snapshot.cache_directory = cache_.File("other");
    const auto outcome = SyncProject(server_.files(), options, snapshot);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
  };
  const auto outcome = Sync();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->push.response.revision().number(), 3);
  EXPECT_EQ(Git("ls-tree --name-only main"), "a\n");
}

TEST_F(PushTest, AFileThatChangesWhileItIsSentIsSentAsItIsThen) {
  tree_.Write("a", std::string(600'000, '1'));
  tree_.Write("z", std::string(600'000, '1'));
  int changes = 0;
  options_.progress = [&](std::int64_t done, std::int64_t) {
    // In the middle of the first file, while it is read; and afterwards, while it is not.
    if ((changes == 0 && done > 200'000) || (changes == 1 && done > 800'000)) {
      ++changes;
      tree_.Write("a", std::string(600'000, static_cast<char>('1' + changes)));
    }
  };
  const auto outcome = Sync();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(changes, 2);
  EXPECT_THAT(outcome->still_moving, IsEmpty());
  EXPECT_EQ(Git("cat-file -p main:a"), std::string(600'000, '3'));
  EXPECT_EQ(Git("fsck --strict --full --no-dangling"), "");
}

TEST_F(PushTest, Case27AFileThatNeverKeepsStillIsSentAsItWasRead) {
  tree_.Write("log", "0");
  tree_.Write("train.py", "1");
  int changes = 0;
  options_.progress = [&](std::int64_t, std::int64_t) { tree_.Write("log", absl::StrCat(++changes)); };
  const auto outcome = Sync();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(outcome->still_moving, ElementsAre("log"));
  EXPECT_EQ(Git("ls-tree -r --name-only main"), "log\ntrain.py\n");
  EXPECT_EQ(Git("fsck --strict --full --no-dangling"), "");
}

TEST_F(PushTest, Case27FilesThatGrowShrinkAndVanishStopNothing) {
  for (int i = 0; i < 20; ++i) tree_.Write(absl::StrCat("f", i), std::string(30'000, static_cast<char>('a' + i)));
  int n = 0;
  options_.progress = [&](std::int64_t, std::int64_t) {
    ++n;
    tree_.Write(absl::StrCat("f", n % 20), std::string(n % 2 == 0 ? 40'000 : 20'000, static_cast<char>('A' + n % 26)));
    tree_.Remove(absl::StrCat("f", (n + 7) % 20));
    tree_.Write(absl::StrCat("new", n), absl::StrCat(n));
  };
  const auto outcome = Sync();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_FALSE(outcome->still_moving.empty());
  EXPECT_EQ(Git("fsck --strict --full --no-dangling"), "");
}

TEST_F(PushTest, AFileThatGoesOnChangingAfterwardsIsToldAbout) {
  for (const char* name : {"0", "1", "2", "3", "log"}) tree_.Write(name, name);
  ASSERT_TRUE(Sync().ok());
  // The contents are known to the server, so that nothing reads the file after the snapshot.
  int rounds = 0;
  tree_.Write("log", "0");
  const auto outcome =
      SyncProject(server_.files(), options_, snapshot_options_, [&](const Snapshot&, const UploadSize& upload) {
        EXPECT_EQ(upload.files, 0);
        EXPECT_EQ(upload.objects, 1);
        tree_.Write("log", absl::StrCat(++rounds));
        return absl::OkStatus();
      });
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(rounds, 3);
  EXPECT_THAT(outcome->still_moving, ElementsAre("log"));
  EXPECT_EQ(Git("show main:log"), "2");
}

TEST_F(PushTest, TellsWhatTravelsBeforeItDoes) {
  tree_.Write("a", "111");
  tree_.Write("copy", "111");
  tree_.Write("b", std::string(5000, 'x'));
  UploadSize size;
  const BeforePush before = [&](const Snapshot&, const UploadSize& upload) {
    size = upload;
    size.largest.clear();
    EXPECT_TRUE(upload.largest.empty() || upload.largest[0]->file.path == "b");
    return absl::OkStatus();
  };
  ASSERT_TRUE(SyncProject(server_.files(), options_, snapshot_options_, before).ok());
  EXPECT_EQ(size.files, 3);
  EXPECT_EQ(size.bytes, 5003);
  EXPECT_EQ(size.objects, 3);
  ASSERT_TRUE(SyncProject(server_.files(), options_, snapshot_options_, before).ok());
  EXPECT_EQ(size.objects, 0);
  const auto refused = SyncProject(server_.files(), options_, snapshot_options_,
                                   [](const Snapshot&, const UploadSize&) { return absl::AbortedError("no"); });
  EXPECT_EQ(refused.status().message(), "no");
}

TEST_F(PushTest, Case9AndCase15LinksAndEmptyDirectoriesArrive) {
  tree_.Write("a", "1");
  tree_.Link("data", "/mnt/imagenet");
  tree_.Link("up", "../../x");
  tree_.Write("empty/x", "");
  tree_.Remove("empty/x");
  const auto outcome = Sync();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(Git("ls-tree --name-only main"), "a\ndata\nempty\nup\n");
  EXPECT_EQ(Git("show main:data"), "/mnt/imagenet");
  EXPECT_EQ(Git("fsck --strict --full"), "");
  const std::string clone = server_.directory().File("clone");
  EXPECT_EQ(RunShell(absl::StrCat("git clone -q ", server_.RepositoryPath(kProject), " ", clone)).exit_code, 0);
}

TEST_F(PushTest, LimitsOfTheServerHoldBeforeTheUpload) {
  tree_.Write("large", std::string(3'000'001, 'x'));
  const auto outcome = Sync();
  EXPECT_TRUE(HasReason(outcome.status(), Reason::kLimitExceeded)) << outcome.status();
  EXPECT_THAT(std::string(outcome.status().message()), HasSubstr("/large   (2.9 MB)"));
  EXPECT_EQ(server_.registry().projects(), 0);
}

TEST_F(PushTest, ErrorsOfTheServerArrive) {
  tree_.Write("a", std::string(2'000'000, 'x'));
  options_.credential = "ada-key";
  EXPECT_TRUE(HasReason(Sync().status(), Reason::kNotFound));
  options_.credential = "eve-key";
  EXPECT_EQ(Sync().status().code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(PushTest, AnApiThatFailsOnceIsTriedAgain) {
  tree_.Write("a", "1");
  server_.registry().LoseNextAnswer(Error(Reason::kUnavailable, "connection reset"));
  const auto outcome = Sync();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->push.response.revision().number(), 1);
}

// Ends its first push without an answer, like a connection that is reset after an early answer.
class LosesFirstAnswer final : public v1::FileService::Service {
 public:
  grpc::Status GetLimits(grpc::ServerContext*, const v1::GetLimitsRequest*, v1::Limits* limits) override {
    limits->set_revision_bytes(1 << 20);
    limits->set_file_bytes(1 << 20);
    limits->set_files(100);
    return grpc::Status::OK;
  }
  grpc::Status FindMissing(grpc::ServerContext*, const v1::FindMissingRequest*, v1::FindMissingResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status Push(grpc::ServerContext*, grpc::ServerReader<v1::PushRequest>*, v1::PushResponse* response) override {
    if (++pushes_ > 1) response->mutable_revision()->set_number(7);
    return grpc::Status::OK;
  }
  int pushes() const { return pushes_; }

 private:
  std::atomic<int> pushes_ = 0;
};

TEST_F(PushTest, APushWhoseAnswerIsLostIsRepeated) {
  tree_.Write("a", "1");
  LosesFirstAnswer service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = v1::FileService::NewStub(
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  const auto outcome = SyncProject(*stub, options_, snapshot_options_);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->push.response.revision().number(), 7);
  EXPECT_EQ(service.pushes(), 2);
}

}  // namespace
}  // namespace riseml::sync
