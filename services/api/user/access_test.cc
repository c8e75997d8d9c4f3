// Who may call what: every RPC of the product, from its descriptor.
#include <gtest/gtest.h>

#include <functional>
#include <pqxx/pqxx>
#include <string>

#include "absl/strings/match.h"
#include "services/api/testing/access_matrix.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/rpc/authorization.h"

namespace riseml::api {
namespace {

using google::protobuf::MethodDescriptor;

TEST(Access, EveryMethodHasARule) {
  EXPECT_GT(Methods().size(), 40u);
  for (const MethodDescriptor* method : Methods()) {
    const v1::Authorization rule = rpc::RuleOf(*method);
    EXPECT_NE(rule.access(), v1::Authorization::ACCESS_UNSPECIFIED) << method->full_name();
    const bool internal = absl::StartsWith(method->full_name(), "riseml.internal.");
    EXPECT_EQ(rule.access() == v1::Authorization::SERVICE, internal) << method->full_name();
    EXPECT_EQ(rule.services_size() > 0, internal) << method->full_name();
  }
}

TEST_F(AccessMatrix, WithoutAValidKeyNothingAnswers) {
  for (const MethodDescriptor* method : Methods()) {
    if (method->client_streaming()) continue;
    const auto request = RequestFor(*method, "admin", "1");
    for (const std::string& key : {std::string(), std::string("rml_guess"), std::string("rmj_guess.1.x")}) {
      const grpc::StatusCode code = Call(*method, *request, key).error_code();
      EXPECT_TRUE(code == grpc::StatusCode::UNAUTHENTICATED || code == grpc::StatusCode::PERMISSION_DENIED ||
                  code == grpc::StatusCode::UNIMPLEMENTED)
          << method->full_name() << " answered " << code << " to key '" << key << "'";
    }
  }
}

TEST_F(AccessMatrix, ForeignAndAbsentObjectsLookTheSame) {
  const std::string paul = api_->NewUser("paul"), mary = api_->NewUser("mary");
  api_->NewRevision("paul", "digits");
  ASSERT_TRUE(api_->Create(paul, "paul", kSingle).ok());
  int checked = 0;
  for (const MethodDescriptor* method : Methods()) {
    const v1::Authorization rule = rpc::RuleOf(*method);
    const bool for_users = rule.access() == v1::Authorization::VIEWER || rule.access() == v1::Authorization::USER;
    const std::string service = method->service()->name();
    const bool served_elsewhere = service == "FileService" || service == "LogService";
    const bool names_nothing = method->name() == "GetCaller" || method->name() == "GetClusterInfo" ||
                               method->name() == "ListNodes" || method->name() == "ListEnvironments";
    if (!for_users || served_elsewhere || names_nothing) continue;
    const grpc::Status foreign = Call(*method, *RequestFor(*method, "paul", "1"), mary);
    EXPECT_EQ(foreign.error_code(), grpc::StatusCode::NOT_FOUND)
        << method->full_name() << ": " << foreign.error_message();
    // The same request by somebody who may see it would succeed; for an absent object the same words come.
    const grpc::Status absent = Call(*method, *RequestFor(*method, "nobody", "1"), mary);
    std::string expected = foreign.error_message();
    for (std::size_t at; (at = expected.find("paul")) != std::string::npos;) expected.replace(at, 4, "nobody");
    EXPECT_EQ(absent.error_code(), foreign.error_code()) << method->full_name();
    EXPECT_EQ(absent.error_message(), expected) << method->full_name();
    ++checked;
  }
  EXPECT_GE(checked, 13);
  EXPECT_EQ(api_->Get(paul, "users/paul/experiments/1")->desired_state(), v1::Experiment::DESIRED_FINISHED);
  EXPECT_FALSE(api_->Get(paul, "users/paul/experiments/2").ok()) << "mary created something for paul";
}

TEST_F(AccessMatrix, UsersCannotDoWhatAdminsDo) {
  const std::string user = api_->NewUser("tess"), viewer = api_->NewUser("vera", v1::User::VIEWER);
  for (const MethodDescriptor* method : Methods()) {
    const auto access = rpc::RuleOf(*method).access();
    if (method->client_streaming()) continue;
    if (access == v1::Authorization::ADMIN) {
      EXPECT_EQ(Call(*method, *RequestFor(*method, "tess", "1"), user).error_code(),
                grpc::StatusCode::PERMISSION_DENIED)
          << method->full_name();
    }
    if (access == v1::Authorization::ADMIN || access == v1::Authorization::USER) {
      EXPECT_EQ(Call(*method, *RequestFor(*method, "vera", "1"), viewer).error_code(),
                grpc::StatusCode::PERMISSION_DENIED)
          << method->full_name();
    }
  }
}

TEST_F(AccessMatrix, NothingThatOnlyReadsWaitsForARow) {
  const std::string rita = api_->NewUser("rita");
  api_->NewRevision("rita", "digits");
  ASSERT_TRUE(api_->Create(rita, "rita", kSingle).ok());
  pqxx::connection db(api_->database());
  pqxx::work others(db);
  for (const char* table : {"users", "api_keys", "projects", "revisions", "experiments", "jobs", "attempts", "secrets",
                            "environments", "nodes", "transitions", "feed", "requests"})
    others.exec(std::string("SELECT 1 FROM ") + table + " FOR UPDATE");
  int read = 0;
  for (const MethodDescriptor* method : Methods()) {
    const std::string service = method->service()->name();
    const bool served_elsewhere = service == "FileService" || service == "LogService";
    const bool reads = absl::StartsWith(method->name(), "Get") || absl::StartsWith(method->name(), "List") ||
                       absl::StartsWith(method->name(), "Watch");
    if (!reads || served_elsewhere || rpc::RuleOf(*method).access() != v1::Authorization::VIEWER) continue;
    if (method->name() == "GetRevision" || method->name() == "GetSecret") continue;  // of what does not exist here
    const grpc::Status status = Call(*method, *RequestFor(*method, "rita", "1"), rita);
    // The watch is given up after its first answer.
    EXPECT_TRUE(status.ok() || (method->server_streaming() && status.error_code() == grpc::StatusCode::CANCELLED))
        << method->full_name() << ": " << status.error_message();
    ++read;
  }
  EXPECT_GE(read, 12);
}

TEST_F(AccessMatrix, ErrorsTellProgramsWhatIsWrong) {
  const std::string key = api_->NewUser("edda");
  api_->NewRevision("edda", "digits");
  const absl::Status spec =
      api_->Create(key, "edda", "project: digits\ntrain:\n  image: x\n  resources: {gpus: many}\n  run: a\n").status();
  EXPECT_TRUE(HasReason(spec, Reason::kInvalidSpec)) << spec;
  EXPECT_EQ(MetadataOf(spec)["line"], "4");
  ASSERT_EQ(ViolationsOf(spec).size(), 1u);
  EXPECT_EQ(ViolationsOf(spec)[0].field, "train.resources.gpus");
  v1::CreateExperimentRequest request = ApiFixture::CreateRequest("edda", kSingle);
  request.set_display_name(std::string(256, 'x'));
  const absl::Status name = api_->Create(key, request).status();
  ASSERT_EQ(ViolationsOf(name).size(), 1u) << name;
  EXPECT_EQ(ViolationsOf(name)[0], (FieldViolation{"display_name", "at most 255 characters"}));

  const auto stub = v1::UserService::NewStub(api_->UserChannel());
  const auto field_of = [&](const std::string& user, const std::string& email, int role) -> std::string {
    v1::CreateUserRequest create;
    create.set_user_id(user);
    create.set_email(email);
    create.set_role(static_cast<v1::User::Role>(role));
    const auto made = rpc::Invoke<v1::CreateUserResponse>(
        [&](auto* c, auto* r) { return stub->CreateUser(c, create, r); }, {.credential = api_->admin_key()});
    const auto violations = ViolationsOf(made.status());
    return violations.empty() ? made.status().ToString() : violations[0].field;
  };
  EXPECT_EQ(field_of("-", "a@b", 0), "user_id");
  EXPECT_EQ(field_of("egon", "nowhere", 0), "email");
  EXPECT_EQ(field_of("egon", "a@b", 99), "role");
}

TEST_F(AccessMatrix, ListsHoldNoForeignRows) {
  const std::string anna = api_->NewUser("anna"), otto = api_->NewUser("otto");
  api_->NewRevision("anna", "digits");
  ASSERT_TRUE(api_->Create(anna, "anna", kSingle).ok());
  const auto stub = v1::ExperimentService::NewStub(api_->UserChannel());
  v1::ListExperimentsRequest request;
  request.set_parent("users/otto");
  const auto own = rpc::Invoke<v1::ListExperimentsResponse>(
      [&](auto* c, auto* r) { return stub->ListExperiments(c, request, r); }, {.credential = otto});
  EXPECT_EQ(own->experiments_size(), 0);
  request.set_parent("users/-");
  const auto all = rpc::Invoke<v1::ListExperimentsResponse>(
      [&](auto* c, auto* r) { return stub->ListExperiments(c, request, r); }, {.credential = otto});
  EXPECT_EQ(all.status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(AccessMatrix, DisabledUsersAreRefusedAndTheLastAdminStays) {
  const std::string gone = api_->NewUser("gone");
  const auto stub = v1::UserService::NewStub(api_->UserChannel());
  const auto disable = [&](const std::string& name) {
    v1::DisableUserRequest request;
    request.set_name(name);
    return rpc::Invoke<v1::User>([&](auto* c, auto* r) { return stub->DisableUser(c, request, r); },
                                 {.credential = api_->admin_key()})
        .status();
  };
  EXPECT_TRUE(disable("users/gone").ok());
  v1::GetCallerRequest request;
  const auto status =
      rpc::Invoke<v1::User>([&](auto* c, auto* r) { return stub->GetCaller(c, request, r); }, {.credential = gone})
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_TRUE(HasReason(disable("users/admin"), Reason::kLastAdmin));
}

TEST_F(AccessMatrix, AChangeOfAUserCountsAtOnceAndEnablesNobodyByAccident) {
  const std::string key = api_->NewUser("mira");
  const auto stub = v1::UserService::NewStub(api_->UserChannel());
  const auto caller = [&] {
    return rpc::Invoke<v1::User>([&](auto* c, auto* r) { return stub->GetCaller(c, v1::GetCallerRequest(), r); },
                                 {.credential = key});
  };
  const auto update = [&](const std::function<void(v1::UpdateUserRequest&)>& change) {
    v1::UpdateUserRequest request;
    request.set_name("users/mira");
    change(request);
    return rpc::Invoke<v1::User>([&](auto* c, auto* r) { return stub->UpdateUser(c, request, r); },
                                 {.credential = api_->admin_key()});
  };
  const std::string etag = caller()->etag();
  EXPECT_FALSE(etag.empty());
  ASSERT_TRUE(update([](auto& request) { request.mutable_update_mask()->add_paths("enabled"); }).ok());
  EXPECT_EQ(caller().status().code(), absl::StatusCode::kUnauthenticated) << "no second of grace";
  const auto changed = update([](auto& request) { request.set_email("mira@example.com"); });
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_FALSE(changed->enabled()) << "a new address enables nobody";
  const absl::Status stale = update([&](auto& request) {
                               request.set_etag(etag);
                               request.set_role(v1::User::VIEWER);
                             }).status();
  EXPECT_TRUE(HasReason(stale, Reason::kStale)) << stale;
  EXPECT_EQ(MetadataOf(stale)["etag"], changed->etag());
  EXPECT_TRUE(
      absl::IsInvalidArgument(update([](auto& request) { request.mutable_update_mask()->add_paths("uid"); }).status()));
  const auto enabled = update([&](auto& request) {
    request.set_etag(changed->etag());
    request.set_enabled(true);
    request.mutable_update_mask()->add_paths("enabled");
  });
  ASSERT_TRUE(enabled.ok()) << enabled.status();
  EXPECT_EQ(enabled->email(), "mira@example.com");
  EXPECT_EQ(caller()->role(), v1::User::USER);
}

TEST_F(AccessMatrix, ARepeatedRotationMakesNoSecondKey) {
  const std::string key = api_->NewUser("rosa");
  const auto stub = v1::UserService::NewStub(api_->UserChannel());
  v1::RotateApiKeyRequest request;
  request.set_name("users/rosa");
  request.set_request_id(NewUuid());
  const auto rotate = [&] {
    return rpc::Invoke<v1::RotateApiKeyResponse>([&](auto* c, auto* r) { return stub->RotateApiKey(c, request, r); },
                                                 {.credential = api_->admin_key()});
  };
  const auto first = rotate();
  ASSERT_TRUE(first.ok()) << first.status();
  const auto again = rotate();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->api_key(), "");
  const auto caller =
      rpc::Invoke<v1::User>([&](auto* c, auto* r) { return stub->GetCaller(c, v1::GetCallerRequest(), r); },
                            {.credential = first->api_key()});
  EXPECT_TRUE(caller.ok()) << "the key of the first answer is the valid one: " << caller.status();
}

TEST_F(AccessMatrix, TheOwnerOfTheInstallationGetsAnAdministratorsKey) {
  const auto stub = v1::UserService::NewStub(api_->UserChannel());
  const auto key = api_->MakeAdminKey();
  ASSERT_TRUE(key.ok()) << key.status();
  for (const std::string& each : {*key, api_->admin_key()}) {
    const auto caller = rpc::Invoke<v1::User>(
        [&](auto* c, auto* r) { return stub->GetCaller(c, v1::GetCallerRequest(), r); }, {.credential = each});
    ASSERT_TRUE(caller.ok()) << caller.status();
    EXPECT_EQ(caller->name(), "users/admin");
    EXPECT_EQ(caller->role(), v1::User::ADMIN);
  }
}

}  // namespace
}  // namespace riseml::api
