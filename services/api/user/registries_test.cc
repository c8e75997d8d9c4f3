// Credentials for registries over the wire: who may set and read them, and that the database holds no password in
// clear.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pqxx/pqxx>

#include "absl/strings/str_cat.h"
#include "riseml/internal/v1/registry_credential.grpc.pb.h"
#include "riseml/v1/registry.grpc.pb.h"
#include "services/api/testing/api_fixture.h"
#include "services/common/base/id.h"
#include "services/common/rpc/channel.h"

namespace riseml::api {
namespace {

using testing::HasSubstr;
using testing::Not;

class RegistriesTest : public ApiTestBase {
 protected:
  void SetUp() override {
    ApiTestBase::SetUp();
    stub_ = v1::RegistryService::NewStub(api_->UserChannel());
  }
  std::string Own() const { return "users/" + user_; }
  absl::StatusOr<v1::RegistryCredential> Set(const std::string& key, const std::string& parent, const std::string& host,
                                             const std::string& password = "s3cr3t-word") {
    v1::SetRegistryCredentialRequest request;
    request.set_parent(parent);
    request.set_host(host);
    request.set_username("robot");
    request.set_password(password);
    return rpc::Invoke<v1::RegistryCredential>(
        [&](auto* c, auto* r) { return stub_->SetRegistryCredential(c, request, r); }, {.credential = key});
  }
  absl::Status Delete(const std::string& key, const std::string& name) {
    v1::DeleteRegistryCredentialRequest request;
    request.set_name(name);
    return rpc::Invoke<google::protobuf::Empty>(
               [&](auto* c, auto* r) { return stub_->DeleteRegistryCredential(c, request, r); }, {.credential = key})
        .status();
  }
  std::vector<std::string> Names() {
    v1::ListRegistryCredentialsRequest request;
    request.set_parent(Own());
    const auto response = rpc::Invoke<v1::ListRegistryCredentialsResponse>(
        [&](auto* c, auto* r) { return stub_->ListRegistryCredentials(c, request, r); }, {.credential = key_});
    EXPECT_TRUE(response.ok()) << response.status();
    std::vector<std::string> names;
    for (const v1::RegistryCredential& one : response->credentials()) names.push_back(one.name());
    return names;
  }
  // What builder is told.
  std::string Password(const std::string& user_uid, const std::string& host) {
    const auto stub = internal::v1::RegistryCredentialService::NewStub(api_->ServiceChannel("builder"));
    internal::v1::FindRegistryCredentialRequest request;
    request.set_user_uid(user_uid);
    request.set_host(host);
    const auto found = rpc::Invoke<internal::v1::FindRegistryCredentialResponse>(
        [&](auto* c, auto* r) { return stub->FindRegistryCredential(c, request, r); });
    return found.ok() ? found->password() : "none";
  }
  std::string Uid() {
    pqxx::connection db(api_->database());
    pqxx::work tx(db);
    return tx.exec1("SELECT uid FROM users WHERE name = " + tx.quote(user_))[0].as<std::string>();
  }

  std::unique_ptr<v1::RegistryService::Stub> stub_;
};

TEST_F(RegistriesTest, BuilderGetsTheUsersOwnCredentialOrTheOneForAll) {
  ASSERT_TRUE(Set(api_->admin_key(), "", "ghcr.io", "for-all-users").ok());
  EXPECT_EQ(Password(Uid(), "ghcr.io"), "for-all-users");
  const auto own = Set(key_, Own(), "ghcr.io", "my-own-password");
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->name(), Own() + "/registries/ghcr.io");
  EXPECT_EQ(Password(Uid(), "ghcr.io"), "my-own-password");
  EXPECT_EQ(Password(NewUuid(), "ghcr.io"), "for-all-users") << "another user";
  EXPECT_EQ(Password(Uid(), "docker.io"), "none");
  ASSERT_TRUE(Set(key_, Own(), "ghcr.io", "another-password").ok()) << "replaces it";
  EXPECT_EQ(Password(Uid(), "ghcr.io"), "another-password");
  EXPECT_THAT(Names(), testing::ElementsAre(Own() + "/registries/ghcr.io", "registries/ghcr.io"));
  ASSERT_TRUE(Delete(key_, Own() + "/registries/ghcr.io").ok());
  EXPECT_TRUE(absl::IsNotFound(Delete(key_, Own() + "/registries/ghcr.io")));
  EXPECT_EQ(Password(Uid(), "ghcr.io"), "for-all-users");
  ASSERT_TRUE(Delete(api_->admin_key(), "registries/ghcr.io").ok());
  EXPECT_EQ(Password(Uid(), "ghcr.io"), "none");
}

TEST_F(RegistriesTest, OnlyTheOwnerAndAdministratorsChangeThem) {
  const std::string other = api_->NewUser("registries-other");
  EXPECT_TRUE(absl::IsNotFound(Set(other, Own(), "ghcr.io").status()));
  EXPECT_TRUE(absl::IsPermissionDenied(Set(key_, "", "ghcr.io").status()));
  ASSERT_TRUE(Set(key_, Own(), "ghcr.io").ok());
  EXPECT_TRUE(absl::IsNotFound(Delete(other, Own() + "/registries/ghcr.io")));
  EXPECT_TRUE(absl::IsPermissionDenied(Delete(key_, "registries/ghcr.io")));
  const auto stub = internal::v1::RegistryCredentialService::NewStub(api_->ServiceChannel("gitsync"));
  internal::v1::FindRegistryCredentialRequest request;
  const auto found = rpc::Invoke<internal::v1::FindRegistryCredentialResponse>(
      [&](auto* c, auto* r) { return stub->FindRegistryCredential(c, request, r); });
  EXPECT_TRUE(absl::IsPermissionDenied(found.status())) << found.status();
}

TEST_F(RegistriesTest, BadInputIsRefused) {
  for (const char* host : {"", "https://ghcr.io", "ghcr.io/team", "Ghcr.io", "a b"})
    EXPECT_TRUE(absl::IsInvalidArgument(Set(key_, Own(), host).status())) << host;
  EXPECT_TRUE(absl::IsInvalidArgument(Set(key_, Own(), "ghcr.io", "").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Set(key_, Own(), "ghcr.io", std::string(20'000, 'x')).status()));
  EXPECT_TRUE(Set(key_, Own(), "registry.lan:5000").ok());
  for (const char* name : {"", "registries", "users/x/y/registries/z", "secrets/ghcr.io"})
    EXPECT_FALSE(Delete(key_, name).ok()) << name;
}

TEST_F(RegistriesTest, TheDatabaseHoldsNoPassword) {
  ASSERT_TRUE(Set(key_, Own(), "ghcr.io", "unmistakable-password").ok());
  pqxx::connection db(api_->database());
  pqxx::work tx(db);
  std::string all;
  for (const auto& row : tx.exec("SELECT username, encode(sealed, 'escape') FROM registry_credentials"))
    absl::StrAppend(&all, row[0].c_str(), row[1].c_str());
  EXPECT_THAT(all, HasSubstr("robot"));
  EXPECT_THAT(all, Not(HasSubstr("unmistakable")));
}

}  // namespace
}  // namespace riseml::api
