// Services that act for users, on the internal listener: exactly the rights of the user, both names in the audit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pqxx/pqxx>

#include "services/api/testing/access_matrix.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/rpc/authorization.h"
#include "services/common/rpc/call.h"
#include "services/common/rpc/status.h"

namespace riseml::api {
namespace {

using google::protobuf::MethodDescriptor;
using testing::AnyOf;
using testing::HasSubstr;

using Metadata = std::multimap<std::string, std::string>;

Metadata OnBehalfOf(const std::string& user) { return {{rpc::kOnBehalfOfKey, "users/" + user}}; }

bool IsForServices(const MethodDescriptor& method) {
  return rpc::RuleOf(method).access() == v1::Authorization::SERVICE;
}

class ActingTest : public AccessMatrix {
 protected:
  static grpc::Status AsWeb(const MethodDescriptor& method, const google::protobuf::Message& request,
                            const Metadata& metadata) {
    return Call(api_->ServiceChannel("web"), method, request, metadata);
  }
  // GetCaller by web; the only method that needs no object.
  static absl::Status Whoami(const Metadata& metadata) {
    const auto& method = *v1::User::descriptor()->file()->service(0)->FindMethodByName("GetCaller");
    return rpc::FromGrpc(AsWeb(method, v1::GetCallerRequest(), metadata));
  }
  static absl::Status Disable(const std::string& user) {
    const auto stub = v1::UserService::NewStub(api_->UserChannel());
    v1::DisableUserRequest request;
    request.set_name("users/" + user);
    return rpc::Invoke<v1::User>([&](auto* c, auto* r) { return stub->DisableUser(c, request, r); },
                                 {.credential = api_->admin_key()})
        .status();
  }
  static pqxx::result Execute(const std::string& statement) {
    pqxx::connection db(api_->database());
    pqxx::work tx(db);
    pqxx::result rows = tx.exec(statement);
    tx.commit();
    return rows;
  }
};

TEST_F(ActingTest, NoServiceAloneCallsWhatUsersCall) {
  api_->NewUser("alone", v1::User::ADMIN);
  for (const MethodDescriptor* method : Methods()) {
    if (IsForServices(*method) || method->client_streaming()) continue;
    const auto request = RequestFor(*method, "alone", "1");
    EXPECT_THAT(AsWeb(*method, *request, {}).error_code(),
                AnyOf(grpc::StatusCode::UNAUTHENTICATED, grpc::StatusCode::UNIMPLEMENTED))
        << method->full_name();
    for (const char* service : {"gitsync", "scheduler", "loghandler", "agent"})
      EXPECT_THAT(Call(api_->ServiceChannel(service), *method, *request, OnBehalfOf("alone")).error_code(),
                  AnyOf(grpc::StatusCode::PERMISSION_DENIED, grpc::StatusCode::UNIMPLEMENTED))
          << service << " " << method->full_name();
  }
}

TEST_F(ActingTest, WebCallsNothingThatIsForServices) {
  api_->NewUser("sam");
  for (const MethodDescriptor* method : Methods()) {
    if (!IsForServices(*method) || method->client_streaming()) continue;
    for (const Metadata& metadata : {Metadata(), OnBehalfOf("sam")})
      EXPECT_THAT(AsWeb(*method, *RequestFor(*method, "sam", "1"), metadata).error_code(),
                  AnyOf(grpc::StatusCode::PERMISSION_DENIED, grpc::StatusCode::UNIMPLEMENTED))
          << method->full_name();
  }
  // Nor may a service do so that may call the method for itself.
  const auto& authenticate = *internal::v1::AuthenticateRequest::descriptor()->file()->service(0)->method(0);
  EXPECT_EQ(Call(api_->ServiceChannel("gitsync"), authenticate, internal::v1::AuthenticateRequest(), OnBehalfOf("sam"))
                .error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(ActingTest, TheUserListenerRefusesToHearOfIt) {
  const std::string key = api_->NewUser("ulf");
  for (const MethodDescriptor* method : Methods()) {
    if (IsForServices(*method) || method->client_streaming()) continue;
    Metadata metadata = OnBehalfOf("admin");
    metadata.emplace(rpc::kAuthorizationKey, "Bearer " + key);
    EXPECT_THAT(Call(api_->UserChannel(), *method, *RequestFor(*method, "ulf", "1"), metadata).error_code(),
                AnyOf(grpc::StatusCode::PERMISSION_DENIED, grpc::StatusCode::UNIMPLEMENTED))
        << method->full_name();
  }
}

TEST_F(ActingTest, WebHasExactlyTheRightsOfTheUser) {
  const std::string paul = api_->NewUser("paul");
  api_->NewRevision("paul", "digits");
  ASSERT_TRUE(api_->Create(paul, "paul", kSingle).ok());
  const std::map<std::string, std::string> keys = {{"vera", api_->NewUser("vera", v1::User::VIEWER)},
                                                   {"ute", api_->NewUser("ute")}};
  int compared = 0;
  for (const MethodDescriptor* method : Methods()) {
    if (IsForServices(*method) || method->client_streaming()) continue;
    for (const auto& [user, key] : keys) {
      const auto request = RequestFor(*method, "paul", "1");
      const grpc::Status own = Call(*method, *request, key), acted = AsWeb(*method, *request, OnBehalfOf(user));
      EXPECT_EQ(acted.error_code(), own.error_code()) << user << " " << method->full_name() << acted.error_message();
      EXPECT_EQ(acted.error_message(), own.error_message()) << user << " " << method->full_name();
      ++compared;
    }
  }
  EXPECT_GE(compared, 50);
  EXPECT_TRUE(api_->Get(paul, "users/paul/experiments/1").ok());
}

TEST_F(ActingTest, ADisabledOrUnknownUserIsRefusedAtOnce) {
  api_->NewUser("dora");
  EXPECT_TRUE(Whoami(OnBehalfOf("dora")).ok());
  ASSERT_TRUE(Disable("dora").ok());
  const absl::Status disabled = Whoami(OnBehalfOf("dora")), unknown = Whoami(OnBehalfOf("dodo"));
  EXPECT_EQ(disabled.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(unknown.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(disabled.message(), "user dora does not exist, or is disabled");
  EXPECT_EQ(unknown.message(), "user dodo does not exist, or is disabled");
}

TEST_F(ActingTest, OneUserHasToBeNamed) {
  api_->NewUser("emil");
  Metadata two = OnBehalfOf("emil");
  two.emplace(rpc::kOnBehalfOfKey, "users/admin");
  EXPECT_EQ(Whoami(two).code(), absl::StatusCode::kUnauthenticated);
  for (const std::string& name : {"emil", "users/-", "users/emil/x", "users/", "rml_guess"})
    EXPECT_FALSE(Whoami({{rpc::kOnBehalfOfKey, name}}).ok()) << name;
}

TEST_F(ActingTest, TheAuditNamesBoth) {
  const std::string key = api_->NewUser("anton");
  api_->NewRevision("anton", "digits");
  const auto& method = *v1::Experiment::descriptor()
                            ->file()
                            ->FindServiceByName("ExperimentService")
                            ->FindMethodByName("CreateExperiment");
  ASSERT_TRUE(AsWeb(method, ApiFixture::CreateRequest("anton", kSingle), OnBehalfOf("anton")).ok());
  ASSERT_TRUE(api_->Create(key, "anton", kSingle).ok());
  const auto rows =
      Execute("SELECT via, key_id <> '' FROM audit WHERE actor = 'anton' AND method LIKE '%Create%' ORDER BY id");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_STREQ(rows[0][0].c_str(), "web");
  EXPECT_FALSE(rows[0][1].as<bool>());
  EXPECT_STREQ(rows[1][0].c_str(), "");
  EXPECT_TRUE(rows[1][1].as<bool>());
}

TEST_F(ActingTest, APushIsTheUsersAndNamesGitsync) {
  api_->NewUser("gerd");
  const std::string uid = Execute("SELECT uid FROM users WHERE name = 'gerd'")[0][0].c_str();
  const auto stub = internal::v1::RevisionRegistryService::NewStub(api_->ServiceChannel("gitsync"));
  internal::v1::ResolveProjectRequest resolve;
  resolve.set_project("users/gerd/projects/digits");
  resolve.set_create(true);
  resolve.set_caller_uid(uid);
  resolve.set_caller_key_id("k1");
  resolve.set_caller_peer("ipv4:192.0.2.7:1");
  const auto project = rpc::Invoke<internal::v1::ResolveProjectResponse>(
      [&](auto* c, auto* r) { return stub->ResolveProject(c, resolve, r); });
  ASSERT_TRUE(project.ok()) << project.status();
  internal::v1::RegisterRevisionRequest request;
  request.set_project_uid(project->uid());
  request.set_commit(std::string(40, 'a'));
  request.set_tree(std::string(40, 'b'));
  request.set_caller_uid(NewUuid());
  const auto push = [&] {
    return rpc::Invoke<v1::Revision>([&](auto* c, auto* r) { return stub->RegisterRevision(c, request, r); },
                                     {.request_id = "r-7"})
        .status();
  };
  EXPECT_TRUE(absl::IsNotFound(push())) << "nobody is no author";
  request.set_caller_uid(uid);
  request.set_caller_key_id("k1");
  request.set_caller_peer("ipv4:192.0.2.7:1");
  ASSERT_TRUE(push().ok());
  const auto rows = Execute("SELECT via, key_id, peer, method, request_id FROM audit WHERE actor = 'gerd' ORDER BY id");
  ASSERT_EQ(rows.size(), 2u);
  for (const auto& row : rows) {
    EXPECT_STREQ(row[0].c_str(), "gitsync");
    EXPECT_STREQ(row[1].c_str(), "k1");
    EXPECT_STREQ(row[2].c_str(), "ipv4:192.0.2.7:1");
  }
  EXPECT_THAT(rows[1][3].c_str(), HasSubstr("RegisterRevision"));
  EXPECT_STREQ(rows[1][4].c_str(), "r-7");
}

}  // namespace
}  // namespace riseml::api
