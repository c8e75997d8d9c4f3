// Who may call what: every RPC of the product, from its descriptor.
#include <google/protobuf/dynamic_message.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/node_agent.pb.h"
#include "riseml/v1/cluster.pb.h"
#include "riseml/v1/file.pb.h"
#include "riseml/v1/log.pb.h"
#include "riseml/v1/node.pb.h"
#include "riseml/v1/project.pb.h"
#include "services/api/api_fixture.h"
#include "services/common/base/file.h"
#include "services/common/base/id.h"
#include "services/common/base/status.h"
#include "services/common/rpc/authorization.h"

namespace riseml::api {
namespace {

using google::protobuf::Message;
using google::protobuf::MethodDescriptor;

// All services of all proto files of the product.
std::vector<const MethodDescriptor*> Methods() {
  // Files api itself does not use are linked only when something of theirs is named.
  for (const auto* used : {v1::Limits::descriptor(), v1::LogEnd::descriptor(), internal::v1::AttemptRef::descriptor()})
    EXPECT_NE(used, nullptr);
  std::vector<const MethodDescriptor*> methods;
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  const std::filesystem::path protos = std::filesystem::path(RISEML_SOURCE_DIR) / "protos";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(protos / "riseml")) {
    const std::string file = std::filesystem::relative(entry.path(), protos).string();
    const auto text = entry.is_regular_file() ? ReadFile(entry.path().string(), 1 << 20) : std::string();
    EXPECT_TRUE(text.ok()) << text.status();
    if (!absl::EndsWith(file, ".proto") || !absl::StrContains(*text, "\nservice ")) continue;
    const auto* descriptor = pool->FindFileByName(file);
    EXPECT_NE(descriptor, nullptr) << file;
    for (int s = 0; descriptor != nullptr && s < descriptor->service_count(); ++s)
      for (int m = 0; m < descriptor->service(s)->method_count(); ++m)
        methods.push_back(descriptor->service(s)->method(m));
  }
  return methods;
}

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

class AccessMatrix : public testing::Test {
 protected:
  static void SetUpTestSuite() { api_ = new ApiFixture(); }
  static void TearDownTestSuite() {
    delete api_;
    api_ = nullptr;
  }

  // Calls any unary or server-streaming method with a serialised request; returns the status.
  grpc::Status Call(const MethodDescriptor& method, const Message& request, const std::string& credential) {
    grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(api_->UserChannel());
    grpc::ClientContext context;
    rpc::Prepare(context, absl::Seconds(10), "matrix", credential);
    const grpc::Slice slice(request.SerializeAsString());
    const grpc::ByteBuffer buffer(&slice, 1);
    grpc::CompletionQueue queue;
    const std::string path = absl::StrCat("/", method.service()->full_name(), "/", method.name());
    const auto call = stub.PrepareCall(&context, path, &queue);
    grpc::ByteBuffer response;
    grpc::Status status;
    call->StartCall(nullptr);
    Await(queue);
    call->WriteLast(buffer, grpc::WriteOptions(), nullptr);
    Await(queue);
    // The first answer of a stream is enough; then the call is given up.
    call->Read(&response, nullptr);
    if (Await(queue) && method.server_streaming()) context.TryCancel();
    call->Finish(&status, nullptr);
    Await(queue);
    return status;
  }
  static bool Await(grpc::CompletionQueue& queue) {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  }

  // A request of the method whose fields that hold a resource name hold `name` of the fitting kind.
  std::unique_ptr<Message> RequestFor(const MethodDescriptor& method, const std::string& owner,
                                      const std::string& number) {
    std::unique_ptr<Message> request(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(method.input_type())->New());
    const auto* reflection = request->GetReflection();
    const std::string user = "users/" + owner, project = user + "/projects/digits",
                      experiment = user + "/experiments/" + number;
    const std::string service = method.service()->name();
    const auto name_for = [&](const std::string& field) -> std::string {
      if (service == "UserService") return user;
      if (service == "ProjectService") return field == "parent" ? user : project;
      if (service == "RevisionService")
        return field == "parent" ? project : project + "/revisions/" + std::string(40, number == "1" ? 'a' : 'c');
      if (service == "SecretService") return field == "parent" ? user : user + "/secrets/KEY";
      if (service == "JobService") return field == "parent" ? experiment : experiment + "/jobs/train";
      if (method.name() == "CreateExperiment") return user;
      return experiment;
    };
    for (int i = 0; i < method.input_type()->field_count(); ++i) {
      const auto* field = method.input_type()->field(i);
      if (field->name() == "name" || field->name() == "parent")
        reflection->SetString(request.get(), field, name_for(field->name()));
      if (field->name() == "key") reflection->SetString(request.get(), field, std::string(64, 'a'));
    }
    if (auto* create = dynamic_cast<v1::CreateExperimentRequest*>(request.get())) {
      create->set_project("digits");
      create->set_revision(std::string(40, 'a'));
      create->set_config_text(kSingle);
    }
    return request;
  }

  static ApiFixture* api_;
};
ApiFixture* AccessMatrix::api_ = nullptr;

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
