// Tokens of the registry, judged by Debian's docker-registry.
#include "services/builder/image/registry_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/oci/curl_http.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/registry.h"
#include "services/common/oci/testing/registry_server.h"
#include "services/common/rpc/certificates.h"

namespace riseml::builder {
namespace {

using ::testing::ElementsAre;

TEST(Scope, IsParsed) {
  EXPECT_EQ(ParseScope("repository:ann/digits:pull,push").value(), (RepositoryAccess{"ann/digits", {"pull", "push"}}));
  for (const char* bad :
       {"", "repository:ann", "registry:catalog:*", "repository:ann/digits:*",
        "repository:ann/digits:", "repository:../x:pull", "repository:Ann:pull", "repository:a:pull:push"})
    EXPECT_FALSE(ParseScope(bad).ok()) << bad;
}

TEST(AllowedToUser, IsTheUsersOwnAndWhatIsShared) {
  const std::vector<RepositoryAccess> wanted = {{"ann/digits", {"pull", "push", "delete"}},
                                                {"anna/digits", {"pull"}},
                                                {"bob/x", {"pull"}},
                                                {"ann", {"pull"}},
                                                {"ann/y", {"delete"}},
                                                {"library/python", {"pull", "push", "delete"}}};
  const RepositoryAccess own{"ann/digits", {"pull", "push"}};
  EXPECT_THAT(AllowedToUser("ann", false, wanted), ElementsAre(own, RepositoryAccess{"library/python", {"pull"}}));
  EXPECT_THAT(AllowedToUser("ann", true, wanted),
              ElementsAre(own, RepositoryAccess{"library/python", {"pull", "push"}}));
  EXPECT_THAT(AllowedToUser("", false, {{"/x", {"pull"}}}), ElementsAre());
}

TEST(Intersection, IsWhatBothAllow) {
  EXPECT_THAT(Intersection({{"a/x", {"pull", "push"}}, {"a/y", {"pull"}}, {"a/z", {"pull"}}},
                           {{"a/y", {"push"}}, {"a/x", {"pull", "delete"}}}),
              ElementsAre(RepositoryAccess{"a/x", {"pull"}}));
}

class RegistryTokensTest : public ::testing::Test {
 protected:
  // Calls with a token of this test.
  class WithToken final : public oci::HttpTransport {
   public:
    WithToken(oci::HttpTransport& http, std::string token) : http_(http), token_(std::move(token)) {}
    absl::StatusOr<oci::HttpAnswer> Perform(const oci::HttpRequest& request) override {
      oci::HttpRequest copy = request;
      if (!token_.empty()) copy.headers.push_back({"Authorization", absl::StrCat("Bearer ", token_)});
      return http_.Perform(copy);
    }

   private:
    oci::HttpTransport& http_;
    const std::string token_;
  };

  RegistryTokensTest() { EXPECT_TRUE(tokens_.ok()) << tokens_.status(); }

  absl::StatusCode Push(const std::string& token, const std::string& repository) {
    WithToken http(http_, token);
    oci::Registry registry(http, clock_, {.host = server_.host(), .plain_http = true, .tries = 1});
    return registry.PutBlob(repository, oci::DigestOf("x"), oci::SourceOf("x")).code();
  }
  absl::StatusCode Pull(const std::string& token, const std::string& repository) {
    WithToken http(http_, token);
    oci::Registry registry(http, clock_, {.host = server_.host(), .plain_http = true, .tries = 1});
    return registry.GetBlob(repository, {"", oci::DigestOf("x"), 1}).status().code();
  }
  std::string Token(const std::vector<RepositoryAccess>& access, absl::Duration lifetime = absl::Minutes(5)) {
    return (*tokens_)->Make("ann", access, lifetime).value();
  }

  const SystemClock clock_{};
  const rpc::Certificate ca_ = rpc::MakeCa("tokens", clock_.Now()).value();
  const rpc::Certificate other_ =
      rpc::IssueCertificate(rpc::MakeCa("tokens", clock_.Now()).value(), "tokens", clock_.Now()).value();
  const rpc::Certificate own_ = rpc::IssueCertificate(ca_, "tokens", clock_.Now()).value();
  absl::StatusOr<std::unique_ptr<RegistryTokens>> tokens_ =
      RegistryTokens::Create(own_.key_pem, own_.certificate_pem, clock_);
  oci::testing::RegistryServer server_{
      absl::StrCat("token: {realm: 'http://127.0.0.1:1/token', service: ", kTokenService, ", issuer: ", kTokenIssuer,
                   ", rootcertbundle: FILE}"),
      ca_.certificate_pem};
  oci::CurlHttp http_{{.private_hosts = {server_.host(), "127.0.0.1:1"}}};
};

TEST_F(RegistryTokensTest, LetTheirBearerIntoTheirRepositories) {
  const std::string own = Token({{"ann/digits", {"pull", "push"}}});
  EXPECT_EQ(Push(own, "ann/digits"), absl::StatusCode::kOk);
  EXPECT_EQ(Pull(own, "ann/digits"), absl::StatusCode::kOk);
  EXPECT_NE(Push(own, "ann/other"), absl::StatusCode::kOk);
  EXPECT_NE(Pull(Token({{"bob/x", {"pull", "push"}}}), "ann/digits"), absl::StatusCode::kOk);
  EXPECT_NE(Push(Token({{"ann/digits", {"pull"}}}), "ann/digits"), absl::StatusCode::kOk);
  EXPECT_NE(Pull("", "ann/digits"), absl::StatusCode::kOk);
}

TEST_F(RegistryTokensTest, Expire) {
  ASSERT_EQ(Push(Token({{"ann/a", {"pull", "push"}}}), "ann/a"), absl::StatusCode::kOk);
  // The registry allows for a minute between two clocks.
  EXPECT_NE(Pull(Token({{"ann/a", {"pull", "push"}}}, -absl::Minutes(5)), "ann/a"), absl::StatusCode::kOk);
}

TEST_F(RegistryTokensTest, AreVerified) {
  const std::vector<RepositoryAccess> access = {{"ann/a", {"pull", "push"}}, {"ann/b", {"pull"}}};
  const std::string token = Token(access);
  EXPECT_EQ((*tokens_)->Verify(token).value(), access);
  EXPECT_FALSE((*tokens_)->Verify(Token(access, -absl::Seconds(1))).ok()) << "its time is over";
  for (std::size_t at : {std::size_t{3}, token.find('.') + 5, token.size() - 9}) {
    std::string changed = token;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_TRUE(absl::IsUnauthenticated((*tokens_)->Verify(changed).status())) << at;
  }
  for (const char* text : {"", ".", "..", "a.b.c", "ann's key"}) EXPECT_FALSE((*tokens_)->Verify(text).ok()) << text;
  const auto other = RegistryTokens::Create(other_.key_pem, other_.certificate_pem, clock_);
  EXPECT_FALSE((*other)->Verify(token).ok()) << "signed by another key";
}

TEST_F(RegistryTokensTest, LetBuilderDoEverything) {
  oci::Registry registry(http_, clock_,
                         {.host = server_.host(), .plain_http = true, .issue = (*tokens_)->Issuer(), .tries = 1});
  ASSERT_TRUE(registry.PutBlob("bob/x", oci::DigestOf("x"), oci::SourceOf("x")).ok());
  EXPECT_TRUE(registry.ListRepositories(10).ok()) << registry.ListRepositories(10).status();
}

TEST_F(RegistryTokensTest, OfAnotherAuthorityAreRefused) {
  const auto forged = RegistryTokens::Create(other_.key_pem, other_.certificate_pem, clock_);
  ASSERT_TRUE(forged.ok());
  EXPECT_NE(Push((*forged)->Make("ann", {{"ann/a", {"push", "pull"}}}, absl::Minutes(5)).value(), "ann/a"),
            absl::StatusCode::kOk);
  EXPECT_FALSE(RegistryTokens::Create(own_.key_pem, other_.certificate_pem, clock_).ok())
      << "the key of another certificate";
  EXPECT_FALSE(RegistryTokens::Create("", "", clock_).ok());
}

}  // namespace
}  // namespace riseml::builder
