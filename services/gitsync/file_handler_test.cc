// The RPCs of gitsync over its real listeners.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <thread>

#include "absl/strings/str_cat.h"
#include "services/common/base/status.h"
#include "services/common/rpc/status.h"
#include "services/gitsync/testing/push_builder.h"
#include "services/gitsync/testing/test_server.h"

namespace riseml::gitsync {
namespace {

using git::Mode;
using ::testing::HasSubstr;

constexpr char kProject[] = "users/paul/projects/census";

std::unique_ptr<grpc::ClientContext> Context(const std::string& credential = "paul-key") {
  auto context = std::make_unique<grpc::ClientContext>();
  rpc::Prepare(*context, absl::Seconds(60), "test", credential);
  return context;
}

class FileHandlerTest : public ::testing::Test {
 protected:
  absl::StatusOr<v1::FindMissingResponse> FindMissing(const std::vector<git::ObjectId>& ids,
                                                      const std::string& project = kProject,
                                                      const std::string& credential = "paul-key") {
    v1::FindMissingRequest request;
    request.set_project(project);
    for (const git::ObjectId& id : ids) request.add_oids(std::string(git::Raw(id)));
    v1::FindMissingResponse response;
    const auto context = Context(credential);
    const absl::Status status = rpc::FromGrpc(server_.files().FindMissing(context.get(), request, &response));
    return status.ok() ? absl::StatusOr<v1::FindMissingResponse>(response) : status;
  }

  absl::StatusOr<v1::PushResponse> Send(const std::vector<v1::PushRequest>& parts,
                                        const std::string& credential = "paul-key") {
    v1::PushResponse response;
    const auto context = Context(credential);
    const auto writer = server_.files().Push(context.get(), &response);
    for (const v1::PushRequest& part : parts)
      if (!writer->Write(part)) break;  // the status says why
    writer->WritesDone();
    const absl::Status status = rpc::FromGrpc(writer->Finish());
    return status.ok() ? absl::StatusOr<v1::PushResponse>(response) : status;
  }

  static std::vector<v1::PushRequest> Parts(const v1::PushHeader& header, const PushBuilder& builder) {
    std::vector<v1::PushRequest> parts(1);
    *parts[0].mutable_header() = header;
    for (const v1::PushFrame& frame : builder.Frames()) *parts.emplace_back().mutable_frame() = frame;
    return parts;
  }

  absl::StatusOr<v1::PushResponse> Push(const PushBuilder& builder, const git::ObjectId& tree,
                                        const std::string& parent = "") {
    return Send(Parts(Header(kProject, tree, parent), builder));
  }

  absl::StatusOr<std::string> Archive(const std::string& revision, const std::string& credential = "paul-key") {
    v1::GetArchiveRequest request;
    request.set_revision(revision);
    const auto context = Context(credential);
    const auto reader = server_.files().GetArchive(context.get(), request);
    std::string bytes;
    for (v1::GetArchiveResponse response; reader->Read(&response);) bytes += response.data();
    const absl::Status status = rpc::FromGrpc(reader->Finish());
    return status.ok() ? absl::StatusOr<std::string>(bytes) : status;
  }

  TestServer server_{Limits{.revision_bytes = 2'000'000, .file_bytes = 1'000'000, .files = 100}};
};

TEST_F(FileHandlerTest, Limits) {
  v1::Limits limits;
  const auto context = Context();
  ASSERT_TRUE(server_.files().GetLimits(context.get(), {}, &limits).ok());
  EXPECT_EQ(limits.revision_bytes(), 2'000'000);
  EXPECT_EQ(limits.file_bytes(), 1'000'000);
  EXPECT_EQ(limits.files(), 100);
}

TEST_F(FileHandlerTest, PushAndFetch) {
  PushBuilder push;
  const auto blob = push.Blob(std::string(700'000, 'x'));
  const auto tree = push.Tree({{"a", Mode::kFile, blob}});
  auto missing = FindMissing({tree, blob});
  ASSERT_TRUE(missing.ok()) << missing.status();
  EXPECT_EQ(missing->missing_size(), 2);
  EXPECT_EQ(missing->head(), "");
  EXPECT_EQ(server_.registry().projects(), 0);  // asking creates nothing

  const auto response = Push(push, tree);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->created());
  EXPECT_TRUE(response->project_created());
  const auto other = git::HashObject(git::ObjectKind::kBlob, "other");
  missing = FindMissing({tree, other, blob});
  ASSERT_TRUE(missing.ok()) << missing.status();
  EXPECT_THAT(missing->missing(), ::testing::ElementsAre(std::string(git::Raw(other))));
  EXPECT_EQ(missing->head(), response->revision().commit());

  const auto archive = Archive(response->revision().name());
  ASSERT_TRUE(archive.ok()) << archive.status();
  EXPECT_THAT(*archive, HasSubstr(std::string(700'000, 'x')));

  internal::v1::GetCodeRequest get;
  get.set_project_uid(server_.registry().UidOf(kProject));
  get.set_commit(response->revision().commit());
  grpc::ClientContext code_context;
  const auto reader = server_.code().GetCode(&code_context, get);
  std::string code;
  for (internal::v1::GetCodeResponse part; reader->Read(&part);) code += part.data();
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_EQ(code, *archive);

  internal::v1::ReadEntriesRequest read;
  read.set_project_uid(get.project_uid());
  read.set_commit(get.commit());
  read.add_paths("a");
  read.add_paths("requirements.txt");
  internal::v1::ReadEntriesResponse entries;
  grpc::ClientContext read_context;
  ASSERT_TRUE(server_.code().ReadEntries(&read_context, read, &entries).ok());
  EXPECT_EQ(entries.entries_size(), 1);
  EXPECT_EQ(entries.entries().at("a").id(), git::Hex(blob));
}

TEST_F(FileHandlerTest, ApiHearsWhoPushed) {
  PushBuilder push;
  ASSERT_TRUE(Push(push, push.Tree({{"a", Mode::kFile, push.Blob("1")}})).ok());
  const Author author = server_.registry().author();
  EXPECT_EQ(author.user.value, "uid-of-paul");
  EXPECT_EQ(author.key_id, "id-of-paul");
  EXPECT_THAT(author.peer, HasSubstr("127.0.0.1:"));
  EXPECT_EQ(author.request_id, "test");
}

TEST_F(FileHandlerTest, ARevokedKeyEndsItsPush) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  v1::PushResponse response;
  const auto context = Context();
  const auto writer = server_.files().Push(context.get(), &response);
  v1::PushRequest header;
  *header.mutable_header() = Header(kProject, tree, "");
  ASSERT_TRUE(writer->Write(header));
  server_.access().RevokeKeys();
  // A client that sends goes on until it is refused. Empty frames are as good as any.
  v1::PushRequest frame;
  frame.mutable_frame();
  while (writer->Write(frame)) {
  }
  const absl::Status status = rpc::FromGrpc(writer->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
  EXPECT_EQ(server_.registry().projects(), 0);
}

TEST_F(FileHandlerTest, AKnownTreeNeedsNoFrames) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  const auto first = Push(push, tree);
  // With frames, too: they are not looked at.
  for (const PushBuilder& builder : {PushBuilder(), push}) {
    const auto again = Push(builder, tree, first->revision().commit());
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_FALSE(again->created());
    EXPECT_EQ(again->revision().name(), first->revision().name());
  }
}

TEST_F(FileHandlerTest, ForeignAndAbsentProjectsLookTheSame) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  const auto response = Push(push, tree);
  ASSERT_TRUE(response.ok());
  const auto foreign = FindMissing({tree}, kProject, "ada-key").status();
  const auto absent = FindMissing({tree}, "users/paul/projects/none-such", "ada-key").status();
  EXPECT_TRUE(HasReason(foreign, Reason::kNotFound)) << foreign;
  EXPECT_EQ(foreign, absent);
  EXPECT_TRUE(HasReason(Send(Parts(Header(kProject, tree), push), "ada-key").status(), Reason::kNotFound));
  const auto archive = Archive(response->revision().name(), "ada-key").status();
  EXPECT_EQ(
      archive,
      Archive(absl::StrCat("users/paul/projects/none-such/revisions/", std::string(40, 'a')), "ada-key").status());
  EXPECT_TRUE(HasReason(archive, Reason::kNotFound)) << archive;
}

TEST_F(FileHandlerTest, NobodyGetsNothing) {
  for (const char* credential : {"", "eve-key"})
    EXPECT_EQ(FindMissing({}, kProject, credential).status().code(), absl::StatusCode::kUnauthenticated) << credential;
  EXPECT_EQ(Send({v1::PushRequest()}, "").status().code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(FileHandlerTest, RefusesWhatIsNotAsTheProtoSays) {
  v1::FindMissingRequest request;
  request.set_project(kProject);
  request.add_oids("short");
  v1::FindMissingResponse response;
  auto context = Context();
  EXPECT_EQ(server_.files().FindMissing(context.get(), request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(FindMissing({}, "census").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(HasReason(FindMissing(std::vector<git::ObjectId>(kMaxIdsPerCall + 1)).status(), Reason::kLimitExceeded));

  EXPECT_EQ(Send({}).status().code(), absl::StatusCode::kInvalidArgument);
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  auto parts = Parts(Header(kProject, tree), push);
  EXPECT_EQ(Send({parts[1]}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Send({parts[0], parts[0]}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Archive("users/paul/projects/census").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server_.registry().projects(), 0);
}

TEST_F(FileHandlerTest, APushThatBreaksOffLeavesNothing) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob(std::string(900'000, 'x'))}});
  const auto parts = Parts(Header(kProject, tree), push);
  ASSERT_GT(parts.size(), 3u);
  {
    v1::PushResponse response;
    const auto context = Context();
    const auto writer = server_.files().Push(context.get(), &response);
    ASSERT_TRUE(writer->Write(parts[0]));
    ASSERT_TRUE(writer->Write(parts[1]));
    context->TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_EQ(Send({parts[0], parts[1]}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server_.registry().projects(), 0);
  EXPECT_TRUE(Push(push, tree).ok());
}

TEST_F(FileHandlerTest, PushesThatSendNothingKeepOutNobodyElse) {
  PushBuilder push;
  const auto tree = push.Tree({{"a", Mode::kFile, push.Blob("1")}});
  std::deque<v1::PushResponse> responses;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientWriterInterface<v1::PushRequest>>> held;
  const auto hold = [&] {
    held.push_back(server_.files().Push(contexts.emplace_back(Context()).get(), &responses.emplace_back()));
    held.back()->Write(Parts(Header(kProject, tree), push)[0]);
  };
  for (int i = 0; i < 3; ++i) hold();
  absl::Status refused;  // once the server has seen all of them
  for (int tries = 0; tries < 200 && !HasReason(refused, Reason::kLimitExceeded); ++tries) {
    refused = Send({}).status();
    // This call may have had the place of a push that is to be held, which was refused then: another one takes it.
    if (!HasReason(refused, Reason::kLimitExceeded)) hold();
  }
  EXPECT_TRUE(HasReason(refused, Reason::kLimitExceeded)) << refused;
  EXPECT_TRUE(RetryDelayOf(refused).has_value());
  const auto other = Send(Parts(Header("users/ada/projects/census", tree), push), "ada-key");
  EXPECT_TRUE(other.ok()) << other.status();
  for (std::size_t i = 0; i < held.size(); ++i) {
    contexts[i]->TryCancel();
    EXPECT_FALSE(held[i]->Finish().ok());
  }
}

TEST_F(FileHandlerTest, OfPushesAtOnceOneWinsAndOthersAreOutdated) {
  PushBuilder base;
  const auto first = Push(base, base.Tree({{"a", Mode::kFile, base.Blob("0")}}));
  ASSERT_TRUE(first.ok()) << first.status();
  std::atomic<int> created{0}, outdated{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        PushBuilder push;
        const auto tree = push.Tree({{"a", Mode::kFile, push.Blob(absl::StrCat("content ", i))}});
        const auto response = Push(push, tree, first->revision().commit());
        if (response.ok() && response->created()) ++created;
        if (HasReason(response.status(), Reason::kPushOutdated)) ++outdated;
      });
    }
  }
  EXPECT_EQ(created, 1);
  EXPECT_EQ(outdated, 1);
  const CommandResult git =
      RunShell(absl::StrCat("git -C ", server_.RepositoryPath(kProject), " rev-list --count main"));
  EXPECT_EQ(git.output, "2\n");
}

TEST_F(FileHandlerTest, TheInternalListenerAnswersNotFound) {
  internal::v1::GetCodeRequest request;
  request.set_project_uid(NewUuid());
  request.set_commit(std::string(40, 'a'));
  grpc::ClientContext context;
  const auto reader = server_.code().GetCode(&context, request);
  internal::v1::GetCodeResponse part;
  EXPECT_FALSE(reader->Read(&part));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace riseml::gitsync
