// Secrets over the wire: who may read them, and that the database holds none in clear.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pqxx/pqxx>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/api/testing/api_fixture.h"

namespace riseml::api {
namespace {

using testing::HasSubstr;
using testing::Not;

class SecretsTest : public ApiTestBase {
 protected:
  // All rows of all tables; bytes in hexadecimal.
  std::string WholeDatabase() {
    pqxx::connection db(api_->database());
    pqxx::work tx(db);
    std::string out;
    for (const auto& table : tx.exec("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"))
      for (const auto& row : tx.exec(absl::StrCat("SELECT t::text FROM ", table[0].c_str(), " t")))
        absl::StrAppend(&out, row[0].c_str(), "\n");
    return out;
  }
  static void ExpectNotIn(const std::string& database, const std::string& secret) {
    ASSERT_GE(secret.size(), 7u);
    EXPECT_THAT(database, Not(HasSubstr(secret)));
    EXPECT_THAT(database, Not(HasSubstr(absl::BytesToHexString(secret))));
  }
};

TEST_F(SecretsTest, Case08SecretsReachTheAttemptThatAsksForThemAndNobodyElse) {
  const auto stub = v1::SecretService::NewStub(api_->UserChannel());
  const auto set = [&](const std::string& parent, const std::string& value) {
    v1::SetSecretRequest request;
    request.set_parent(parent);
    request.set_secret_id("WANDB_API_KEY");
    request.set_value(value);
    return rpc::Invoke<v1::Secret>([&](auto* c, auto* r) { return stub->SetSecret(c, request, r); },
                                   {.credential = key_});
  };
  const std::string asks =
      "project: digits\ntrain:\n  image: x\n  resources: {}\n  run: a\n  secrets: [WANDB_API_KEY: file]\n";
  EXPECT_THAT(std::string(api_->Create(key_, user_, asks).status().message()),
              HasSubstr("store it with: riseml secret set WANDB_API_KEY"));
  ASSERT_TRUE(set("users/" + user_, "for-all").ok());
  const auto secret = set("users/" + user_ + "/projects/digits", "hunter2");
  EXPECT_EQ(secret->name(), "users/" + user_ + "/projects/digits/secrets/WANDB_API_KEY");
  const auto e = api_->Create(key_, user_, asks);
  ASSERT_TRUE(e.ok()) << e.status();
  const auto placed = api_->Place(e->jobs(0).uid());
  const auto jobs = v1::JobService::NewStub(api_->UserChannel());
  const auto fetch = [&](const std::string& credential) {
    return rpc::Invoke<v1::FetchSecretsResponse>(
        [&](auto* c, auto* r) { return jobs->FetchSecrets(c, v1::FetchSecretsRequest(), r); },
        {.credential = credential});
  };
  const auto values = fetch(placed->token());
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(values->values_size(), 1);
  EXPECT_EQ(values->values().at("WANDB_API_KEY"), "hunter2") << "the project's wins";
  EXPECT_EQ(fetch(key_).status().code(), absl::StatusCode::kUnauthenticated) << "users never see a value";
  const v1::Experiment other = Create(kSingle);
  EXPECT_EQ(fetch(api_->Place(other.jobs(0).uid())->token())->values_size(), 0) << "it has not asked";

  const std::string database = WholeDatabase();
  EXPECT_THAT(database, HasSubstr("WANDB_API_KEY"));
  ExpectNotIn(database, "hunter2");
  ExpectNotIn(database, "for-all");
  ExpectNotIn(database, key_.substr(14));
  ExpectNotIn(database, placed->token().substr(placed->token().rfind('.') + 1));

  pqxx::connection db(api_->database());
  pqxx::work tx(db);
  EXPECT_GE(tx.exec_params1("SELECT count(*) FROM audit WHERE object LIKE 'secret WANDB_API_KEY%'")[0].as<int>(), 1);

  v1::ListSecretsRequest list;
  list.set_parent("users/" + user_);
  const auto listed = rpc::Invoke<v1::ListSecretsResponse>(
      [&](auto* c, auto* r) { return stub->ListSecrets(c, list, r); }, {.credential = key_});
  ASSERT_EQ(listed->secrets_size(), 2);
  EXPECT_FALSE(listed->secrets(0).has_use_time());
  EXPECT_TRUE(listed->secrets(1).has_use_time());
  v1::DeleteSecretRequest remove;
  remove.set_name(secret->name());
  EXPECT_TRUE(rpc::Invoke<google::protobuf::Empty>([&](auto* c, auto* r) { return stub->DeleteSecret(c, remove, r); },
                                                   {.credential = key_})
                  .ok());
  EXPECT_EQ(fetch(placed->token())->values().at("WANDB_API_KEY"), "for-all");

  ASSERT_TRUE(api_->Report(e->jobs(0).uid(), 1, internal::v1::Observation::STARTED).ok());
  ASSERT_TRUE(api_->Report(e->jobs(0).uid(), 1, internal::v1::Observation::EXITED).ok());
  EXPECT_EQ(fetch(placed->token()).status().code(), absl::StatusCode::kPermissionDenied) << "it has ended";
}

}  // namespace
}  // namespace riseml::api
