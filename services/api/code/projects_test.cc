// Deletion of projects, and the bytes of their code. After each test the fixture compares the sums with the rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <pqxx/pqxx>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/removal.grpc.pb.h"
#include "riseml/v1/project.grpc.pb.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"

namespace riseml::api {
namespace {

using internal::v1::ListRemovalsRequest;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kGib = std::int64_t{1} << 30;

class ProjectsTest : public ApiTestBase {
 protected:
  std::string Project() const { return absl::StrCat("users/", user_, "/projects/digits"); }
  absl::Status Delete(const std::string& key, const std::string& name, const std::string& request_id = "") {
    const auto stub = v1::ProjectService::NewStub(api_->UserChannel());
    v1::DeleteProjectRequest request;
    request.set_name(name);
    request.set_request_id(request_id);
    return rpc::Invoke<v1::DeleteProjectResponse>([&](auto* c, auto* r) { return stub->DeleteProject(c, request, r); },
                                                  {.credential = key})
        .status();
  }
  absl::StatusOr<v1::Project> GetProject() {
    const auto stub = v1::ProjectService::NewStub(api_->UserChannel());
    v1::GetProjectRequest request;
    request.set_name(Project());
    return rpc::Invoke<v1::Project>([&](auto* c, auto* r) { return stub->GetProject(c, request, r); },
                                    {.credential = key_});
  }
  v1::User Caller() {
    const auto stub = v1::UserService::NewStub(api_->UserChannel());
    return *rpc::Invoke<v1::User>([&](auto* c, auto* r) { return stub->GetCaller(c, {}, r); }, {.credential = key_});
  }
  absl::StatusOr<internal::v1::ResolveProjectResponse> Resolve(const std::string& project, bool create,
                                                               std::int64_t pack_bytes = 0,
                                                               const std::string& caller_uid = "") {
    const auto stub = internal::v1::RevisionRegistryService::NewStub(api_->ServiceChannel("gitsync"));
    internal::v1::ResolveProjectRequest request;
    request.set_project(project);
    request.set_create(create);
    request.set_pack_bytes(pack_bytes);
    request.set_caller_uid(caller_uid);
    return rpc::Invoke<internal::v1::ResolveProjectResponse>(
        [&](auto* c, auto* r) { return stub->ResolveProject(c, request, r); });
  }
  // Registers the next revision of a project; `digit` makes its commit.
  absl::Status Push(const std::string& uid, const std::string& head, char digit, std::int64_t repository_bytes) {
    const auto stub = internal::v1::RevisionRegistryService::NewStub(api_->ServiceChannel("gitsync"));
    internal::v1::RegisterRevisionRequest request;
    request.set_project_uid(uid);
    request.set_parent(head);
    request.set_commit(std::string(40, digit));
    request.set_tree(std::string(40, digit));
    request.set_repository_bytes(repository_bytes);
    return rpc::Invoke<v1::Revision>([&](auto* c, auto* r) { return stub->RegisterRevision(c, request, r); }).status();
  }
  absl::Status Push(char digit, std::int64_t repository_bytes) {
    const auto project = Resolve(Project(), false);
    return project.ok() ? Push(project->uid(), project->head(), digit, repository_bytes) : project.status();
  }
  std::vector<std::string> Repositories() {
    const auto stub = internal::v1::RemovalService::NewStub(api_->ServiceChannel("gitsync"));
    internal::v1::ListRemovalsRequest request;
    request.set_kind(ListRemovalsRequest::REPOSITORY);
    const auto listed = rpc::Invoke<internal::v1::ListRemovalsResponse>(
        [&](auto* c, auto* r) { return stub->ListRemovals(c, request, r); });
    EXPECT_TRUE(listed.ok()) << listed.status();
    return {listed->items().begin(), listed->items().end()};
  }
  void SetSecret(const std::string& parent) {
    const auto stub = v1::SecretService::NewStub(api_->UserChannel());
    v1::SetSecretRequest request;
    request.set_parent(parent);
    request.set_secret_id("KEY");
    request.set_value("value");
    const auto set =
        rpc::Invoke<v1::Secret>([&](auto* c, auto* r) { return stub->SetSecret(c, request, r); }, {.credential = key_});
    EXPECT_TRUE(set.ok()) << set.status();
  }
  int Count(const std::string& from_where) {
    pqxx::connection db(api_->database());
    pqxx::work tx(db);
    return tx.exec1("SELECT count(*) FROM " + from_where)[0].as<int>();
  }
  // Ends an experiment, with its log.
  void End(const v1::Experiment& experiment) {
    api_->RunToEnd(experiment.jobs(0).uid());
    api_->CompleteLog(experiment.jobs(0).uid());
  }
};

TEST_F(ProjectsTest, ADeletedProjectIsGoneAndGitsyncIsTold) {
  ASSERT_TRUE(Push('c', 5000).ok());
  SetSecret(Project());
  SetSecret("users/" + user_);
  const std::string uid = GetProject()->uid(), of_user = absl::StrCat("user_uid = '", Caller().uid(), "'");
  ASSERT_TRUE(Delete(key_, Project()).ok());
  EXPECT_TRUE(absl::IsNotFound(GetProject().status()));
  EXPECT_TRUE(absl::IsNotFound(Delete(key_, Project())));
  EXPECT_EQ(Count(absl::StrCat("revisions WHERE project_uid = '", uid, "'")), 0);
  EXPECT_EQ(Count("secrets WHERE " + of_user), 1) << "that of all projects stays";
  EXPECT_EQ(Count("audit WHERE method LIKE '%DeleteProject' AND object = '" + Project() + "'"), 1);
  EXPECT_EQ(Caller().stored_bytes(), 0);
  EXPECT_THAT(Repositories(), Contains(uid));

  const auto stub = internal::v1::RemovalService::NewStub(api_->ServiceChannel("gitsync"));
  internal::v1::ReportRemovedRequest report;
  report.set_kind(ListRemovalsRequest::REPOSITORY);
  report.add_items(uid);
  EXPECT_TRUE(rpc::Invoke<internal::v1::ReportRemovedResponse>([&](auto* c, auto* r) {
                return stub->ReportRemoved(c, report, r);
              }).ok());
  EXPECT_THAT(Repositories(), Not(Contains(uid)));
}

TEST_F(ProjectsTest, APushAfterTheDeletionMakesAnotherProject) {
  const std::string old = GetProject()->uid();
  ASSERT_TRUE(Delete(key_, Project()).ok());
  const absl::Status late = Push(old, std::string(40, 'a'), 'c', 10);
  EXPECT_TRUE(HasReason(late, Reason::kNotFound)) << late;
  EXPECT_TRUE(HasReason(Resolve(Project(), false).status(), Reason::kNotFound));
  const auto project = Resolve(Project(), true, 0, Caller().uid());
  ASSERT_TRUE(project.ok()) << project.status();
  EXPECT_TRUE(project->created());
  EXPECT_EQ(project->head(), "");
  EXPECT_NE(project->uid(), old);
  EXPECT_TRUE(Push('c', 10).ok());
  EXPECT_THAT(Repositories(), Not(Contains(project->uid())));
}

TEST_F(ProjectsTest, AProjectStaysAsLongAsItsExperiments) {
  const v1::Experiment first = Create(kSingle), second = Create(kSingle);
  absl::Status status = Delete(key_, Project());
  EXPECT_TRUE(HasReason(status, Reason::kInUse)) << status;
  EXPECT_EQ(std::string(status.message()), "project digits has 2 experiments; delete them first: riseml rm 1 2");
  EXPECT_EQ(
      std::string(Delete(api_->admin_key(), Project()).message()),
      absl::StrCat("project digits has 2 experiments; delete them first: riseml rm .", user_, ".1 .", user_, ".2"));
  End(first);
  ASSERT_TRUE(DeleteExperiment(first.name()).ok());
  status = Delete(key_, Project());
  EXPECT_EQ(std::string(status.message()), "project digits has 1 experiment; delete it first: riseml rm 2");
  End(second);
  ASSERT_TRUE(DeleteExperiment(second.name()).ok());
  EXPECT_TRUE(Delete(key_, Project()).ok());
  EXPECT_TRUE(absl::IsNotFound(api_->Create(key_, user_, kSingle).status()));
}

TEST_F(ProjectsTest, AnErrorNamesTheFirstOfManyExperiments) {
  for (int i = 0; i < 21; ++i) Create(kSingle);
  EXPECT_THAT(
      std::string(Delete(key_, Project()).message()),
      HasSubstr("project digits has 21 experiments; delete them first, these 20 to begin with: riseml rm 1 2 3"));
}

TEST_F(ProjectsTest, OthersMayNotDeleteAndARepeatedCallSucceeds) {
  const absl::Status foreign = Delete(api_->NewUser(user_ + "x"), Project());
  EXPECT_EQ(std::string(foreign.message()), Project() + " not found");
  EXPECT_EQ(Delete(api_->NewUser(user_ + "y", v1::User::VIEWER), Project()).code(),
            absl::StatusCode::kPermissionDenied);
  const std::string id = NewUuid();
  EXPECT_TRUE(Delete(key_, Project(), id).ok());
  EXPECT_TRUE(Delete(key_, Project(), id).ok());
  api_->NewRevision(user_, "digits");
  EXPECT_TRUE(Delete(key_, Project(), id).ok()) << "told again";
  EXPECT_TRUE(GetProject().ok()) << "and without an effect";
  EXPECT_TRUE(Delete(api_->admin_key(), Project()).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Delete(key_, "users/" + user_)));
}

TEST_F(ProjectsTest, CodeCountsAsItGrowsAndShrinks) {
  ASSERT_TRUE(Push('c', 5000).ok());
  EXPECT_EQ(Caller().stored_bytes(), 5000);
  EXPECT_EQ(GetProject()->stored_bytes(), 5000);
  ASSERT_TRUE(Push('d', 3000).ok());
  EXPECT_EQ(Caller().stored_bytes(), 3000) << "packs were merged";
  ASSERT_TRUE(Push('e', 0).ok());
  EXPECT_EQ(Caller().stored_bytes(), 3000) << "not measured";
  EXPECT_TRUE(HasReason(Push(GetProject()->uid(), std::string(40, 'c'), 'f', 9000), Reason::kPushOutdated));
  EXPECT_EQ(Caller().stored_bytes(), 3000);
  ASSERT_TRUE(Push('f', std::numeric_limits<std::int64_t>::max()).ok());
  EXPECT_EQ(Caller().stored_bytes(), std::int64_t{1} << 46) << "clamped";
}

TEST_F(ProjectsTest, APackThatIsMoreThanWhatIsLeftIsRefused) {
  const std::string uid = Caller().uid(), other = absl::StrCat("users/", user_, "/projects/other");
  ASSERT_TRUE(Push('c', 499 * kGib).ok());
  EXPECT_TRUE(Resolve(Project(), false, kGib).ok());
  const absl::Status refused = Resolve(other, true, kGib + 1, uid).status();
  EXPECT_TRUE(HasReason(refused, Reason::kLimitExceeded)) << refused;
  EXPECT_EQ(std::string(refused.message()),
            "you keep 499 GiB of outputs, logs and code, this push adds 1 GiB, 500 GiB are allowed; delete what you do "
            "not need with riseml rm ID or riseml project rm NAME, or ask an administrator to raise the limit");
  EXPECT_EQ(MetadataOf(refused)["limit"], absl::StrCat(500 * kGib));
  EXPECT_EQ(MetadataOf(refused)["used"], absl::StrCat(500 * kGib + 1));
  EXPECT_TRUE(HasReason(Resolve(other, false).status(), Reason::kNotFound)) << "nothing was created";
  EXPECT_THAT(std::string(Resolve(Project(), false, 2 * kGib).status().message()),
              HasSubstr(absl::StrCat("user ", user_, " keeps 499 GiB")));
  ASSERT_TRUE(Push('d', 500 * kGib).ok()) << "what was added is registered";
  EXPECT_TRUE(Resolve(Project(), false).ok()) << "a push that adds nothing";
  EXPECT_TRUE(HasReason(api_->Create(key_, user_, kSingle).status(), Reason::kLimitExceeded));
  ASSERT_TRUE(Delete(key_, Project()).ok());
  EXPECT_TRUE(Resolve(Project(), true, 2 * kGib, uid).ok());
}

TEST_F(ProjectsTest, DeletionsExperimentsAndPushesAtOnceEndWell) {
  for (int round = 0; round < 10; ++round) {
    const auto project = Resolve(Project(), true, 0, Caller().uid());
    ASSERT_TRUE(project.ok()) << project.status();
    if (project->created()) ASSERT_TRUE(Push('a', 100).ok());
    std::atomic<int> deleted = 0, created = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 3; ++i)
        threads.emplace_back([&] {
          const absl::Status status = Delete(key_, Project());
          EXPECT_TRUE(status.ok() || absl::IsNotFound(status) || HasReason(status, Reason::kInUse)) << status;
          deleted += status.ok() ? 1 : 0;
        });
      threads.emplace_back([&] {
        const absl::Status status = api_->Create(key_, user_, kSingle).status();
        EXPECT_TRUE(status.ok() || absl::IsNotFound(status)) << status;
        created += status.ok() ? 1 : 0;
      });
      threads.emplace_back([&] {
        const absl::Status status = Push(project->uid(), std::string(40, 'a'), 'b', 200);
        EXPECT_TRUE(status.ok() || absl::IsNotFound(status)) << status;
      });
    }
    EXPECT_EQ(deleted + created, 1) << "either the project or the experiment is there";
    if (created == 0) continue;
    v1::ListExperimentsRequest list;
    list.set_parent("users/" + user_);
    const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
    const auto all = rpc::Invoke<v1::ListExperimentsResponse>(
        [&](auto* c, auto* r) { return stub->ListExperiments(c, list, r); }, {.credential = key_});
    ASSERT_EQ(all->experiments_size(), 1);
    End(Get(all->experiments(0).name()));
    ASSERT_TRUE(DeleteExperiment(all->experiments(0).name()).ok());
    ASSERT_TRUE(Delete(key_, Project()).ok());
  }
}

}  // namespace
}  // namespace riseml::api
