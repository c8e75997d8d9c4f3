#include "services/common/oci/token_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/oci/testing/scripted_http.h"

namespace riseml::oci {
namespace {

using ::testing::HasSubstr;

class TokenSourceTest : public ::testing::Test {
 protected:
  TokenSource Make(TokenSource::Options options) { return TokenSource(http_, clock_, std::move(options)); }
  static Challenge Bearer(const std::string& realm) {
    return {"bearer", {{"realm", realm}, {"service", "the registry"}}};
  }

  oci::testing::ScriptedHttp http_;
  FakeClock clock_;
  const Scopes scopes_ = {"repository:a/b:pull,push"};
  const Credential ann_{"ann", "secret"};
};

TEST(Challenge, IsParsed) {
  const auto challenge = ParseChallenge(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a:pull,push",error=invalid_token)");
  ASSERT_TRUE(challenge.ok()) << challenge.status();
  EXPECT_EQ(challenge->scheme, "bearer");
  EXPECT_EQ(challenge->parameters.at("realm"), "https://auth.docker.io/token");
  EXPECT_EQ(challenge->parameters.at("scope"), "repository:a:pull,push");
  EXPECT_EQ(challenge->parameters.at("error"), "invalid_token");
  EXPECT_EQ(ParseChallenge(R"(BASIC Realm="a \"b\"")")->parameters.at("realm"), "a \"b\"");
  for (const char* bad : {"", "Digest realm=x", "bea"}) EXPECT_FALSE(ParseChallenge(bad).ok()) << bad;
  for (const char* odd : {"Bearer", "Bearer ,,,", "Bearer realm", "Bearer realm=\"", "Bearer =x"})
    EXPECT_TRUE(ParseChallenge(odd).ok()) << odd;
}

TEST_F(TokenSourceTest, AsksOnceAndUsesTheTokenUntilItExpires) {
  TokenSource tokens = Make({.registry = "r.example", .credential = ann_});
  EXPECT_EQ(tokens.Known(scopes_), "");
  http_.Answer(200, {}, R"({"token":"t1","expires_in":300})");
  EXPECT_EQ(tokens.Answer(scopes_, Bearer("https://r.example/token?x=1"), {}).value(), "Bearer t1");
  ASSERT_EQ(http_.calls().size(), 1U);
  EXPECT_EQ(http_.calls()[0].url,
            "https://r.example/token?x=1&service=the%20registry&scope=repository:a/b:pull%2Cpush");
  EXPECT_EQ(http_.calls()[0].authorization, "Basic YW5uOnNlY3JldA==");
  EXPECT_EQ(tokens.Known(scopes_), "Bearer t1");
  EXPECT_EQ(tokens.Known({"repository:other:pull"}), "");
  clock_.Advance(absl::Seconds(295));
  EXPECT_EQ(tokens.Known(scopes_), "") << "a token is not used in the last seconds of its life";
}

TEST_F(TokenSourceTest, SendsTheCredentialToItsHostOnly) {
  TokenSource tokens = Make({.registry = "r.example", .credential = ann_});
  const auto elsewhere = tokens.Answer(scopes_, Bearer("https://evil.example/token"), {});
  EXPECT_EQ(elsewhere.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(elsewhere.status().message()), HasSubstr("evil.example"));
  EXPECT_FALSE(tokens.Answer(scopes_, Bearer("https://r.example:444/token"), {}).ok()) << "another port";
  EXPECT_FALSE(tokens.Answer(scopes_, Bearer("http://r.example/token"), {}).ok()) << "without TLS";
  EXPECT_FALSE(tokens.Answer(scopes_, Bearer("https://r.example@evil.example/token"), {}).ok());
  EXPECT_FALSE(tokens.Answer(scopes_, Bearer(""), {}).ok());
  EXPECT_TRUE(http_.calls().empty()) << "nothing has been sent";

  TokenSource listed = Make({.registry = "r.example", .credential = ann_, .realm_hosts = {"auth.example"}});
  http_.Answer(200, {}, R"({"access_token":"t"})");
  EXPECT_EQ(listed.Answer(scopes_, Bearer("https://auth.example/token"), {}).value(), "Bearer t");
  TokenSource docker = Make({.registry = "registry-1.docker.io", .credential = ann_});
  http_.Answer(200, {}, R"({"token":"t"})");
  EXPECT_TRUE(docker.Answer(scopes_, Bearer("https://auth.docker.io/token"), {}).ok());
}

TEST_F(TokenSourceTest, IsAnonymousWithoutCredential) {
  TokenSource tokens = Make({.registry = "r.example"});
  http_.Answer(200, {}, R"({"token":"t"})");
  EXPECT_TRUE(tokens.Answer(scopes_, Bearer("https://any.example/token"), {}).ok());
  EXPECT_EQ(http_.calls()[0].authorization, "");
  const auto basic = tokens.Answer(scopes_, {"basic", {}}, {});
  EXPECT_EQ(basic.status().code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(TokenSourceTest, IssuesTokensOfItsOwn) {
  int issued = 0;
  TokenSource tokens = Make({.registry = "r.example", .issue = [&issued](const Scopes&) -> absl::StatusOr<std::string> {
                               return absl::StrCat("t", ++issued);
                             }});
  EXPECT_EQ(tokens.Known(scopes_), "Bearer t1") << "without being asked for one";
  EXPECT_EQ(tokens.Known(scopes_), "Bearer t1");
  clock_.Advance(kIssuedTokenUse);
  EXPECT_EQ(tokens.Known(scopes_), "Bearer t2");
  EXPECT_EQ(tokens.Answer(scopes_, Bearer("https://evil.example/token"), {}).value(), "Bearer t3");
  EXPECT_TRUE(http_.calls().empty());
}

TEST_F(TokenSourceTest, RefusesAnswersThatAreNoTokens) {
  TokenSource tokens = Make({.registry = "r.example", .credential = ann_});
  for (const char* body : {"", "{}", R"({"token":""})", R"({"token":7})", "{\"token\":\"a\\r\\nX: y\"}"}) {
    http_.Answer(200, {}, body);
    EXPECT_EQ(tokens.Answer(scopes_, Bearer("https://r.example/t"), {}).status().code(),
              absl::StatusCode::kUnauthenticated)
        << body;
  }
  http_.Answer(503);
  EXPECT_TRUE(absl::IsUnavailable(tokens.Answer(scopes_, Bearer("https://r.example/t"), {}).status()));
  http_.Answer(401);
  const auto denied = tokens.Answer(scopes_, Bearer("https://r.example/t"), {});
  EXPECT_THAT(std::string(denied.status().message()), HasSubstr("check user and password"));
}

}  // namespace
}  // namespace riseml::oci
