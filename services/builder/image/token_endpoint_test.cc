// The endpoint for tokens: its requests, and all of it with docker-registry and skopeo.
#include "services/builder/image/token_endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/base/files/file.h"
#include "services/common/base/status.h"
#include "services/common/oci/append.h"
#include "services/common/oci/curl_http.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/testing/registry_server.h"
#include "services/common/rpc/certificates.h"

namespace riseml::builder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kBasicAnn[] = "Basic YW5uOnNlY3JldA==";  // ann:secret

TEST(TokenRequest, IsParsed) {
  const auto request = ParseTokenRequest(
      "/token?account=ann&service=riseml-registry&scope=repository%3Aann%2Fa%3Apull&scope=repository:ann/"
      "b:push+repository:ann/a:push",
      kBasicAnn);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->username, "ann");
  EXPECT_EQ(request->password, "secret");
  EXPECT_THAT(request->access,
              ElementsAre(RepositoryAccess{"ann/a", {"pull", "push"}}, RepositoryAccess{"ann/b", {"push"}}));
  EXPECT_TRUE(ParseTokenRequest("/token", "")->access.empty());
  EXPECT_TRUE(ParseTokenRequest("/token?scope=registry:catalog:*", "")->access.empty()) << "no right to the catalog";
}

TEST(TokenRequest, RefusesOthers) {
  const struct {
    std::string target, authorization;
    absl::StatusCode code;
  } cases[] = {{"/", "", absl::StatusCode::kNotFound},
               {"/token/x", "", absl::StatusCode::kNotFound},
               {"/token?scope=%4", "", absl::StatusCode::kInvalidArgument},
               {"/token?scope=%zz", "", absl::StatusCode::kInvalidArgument},
               {"/token?service=other", "", absl::StatusCode::kInvalidArgument},
               {"/token", "Bearer x", absl::StatusCode::kUnauthenticated},
               {"/token", "Basic !", absl::StatusCode::kUnauthenticated},
               {"/token", "Basic YW5u", absl::StatusCode::kUnauthenticated}};
  for (const auto& c : cases)
    EXPECT_EQ(ParseTokenRequest(c.target, c.authorization).status().code(), c.code) << c.target;
  std::string many = "/token?";
  for (int i = 0; i < 21; ++i) absl::StrAppend(&many, "&scope=repository:ann/", i, ":pull");
  EXPECT_EQ(ParseTokenRequest(many, "").status().code(), absl::StatusCode::kInvalidArgument);
}

class TokenEndpointTest : public ::testing::Test {
 protected:
  static absl::StatusOr<Grant> GrantTo(const TokenRequest& request) {
    if (request.password != "secret") return Error(Reason::kUnauthenticated, "wrong password");
    return Grant{request.username, AllowedToUser(request.username, false, request.access)};
  }

  static std::string Output(const std::string& command) {
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    std::string out;
    char buffer[4096];
    while (const std::size_t got = fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, got);
    pclose(pipe);
    return out;
  }

  // Writes an image as its owner.
  void PutImage(const std::string& repository) {
    oci::Registry registry(http_, clock_,
                           {.host = server_.host(),
                            .plain_http = true,
                            .credential = oci::Credential{"ann", "secret"},
                            .realm_hosts = {realm_}});
    oci::Image image;
    image.config_bytes = R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}})";
    image.manifest = {std::string(oci::kOciManifest),
                      {std::string(oci::kOciConfig), oci::DigestOf(image.config_bytes),
                       static_cast<std::int64_t>(image.config_bytes.size())},
                      {}};
    image.manifest_bytes = oci::ToJson(image.manifest);
    const auto written = oci::WriteImage(registry, repository, "1", image);
    ASSERT_TRUE(written.ok()) << written.status();
  }

  const SystemClock clock_{};
  const rpc::Certificate ca_ = rpc::MakeCa("tokens", clock_.Now()).value();
  const rpc::Certificate own_ = rpc::IssueCertificate(ca_, "tokens", clock_.Now()).value();
  const std::unique_ptr<RegistryTokens> tokens_ =
      RegistryTokens::Create(own_.key_pem, own_.certificate_pem, clock_).value();
  const std::unique_ptr<TokenEndpoint> endpoint_ =
      TokenEndpoint::Start({.most_connections = 8, .time_limit = absl::Seconds(1)}, *tokens_, GrantTo).value();
  const std::string realm_ = absl::StrCat("127.0.0.1:", endpoint_->port());
  oci::testing::RegistryServer server_{
      absl::StrCat("token: {realm: 'http://", realm_, "/token', service: ", kTokenService, ", issuer: ", kTokenIssuer,
                   ", rootcertbundle: FILE}"),
      ca_.certificate_pem};
  oci::CurlHttp http_{{.private_hosts = {server_.host(), realm_}}};
};

TEST_F(TokenEndpointTest, AUserPullsOwnImagesOnly) {
  PutImage("ann/digits");
  const auto inspect = [&](const std::string& credential) {
    return Output(
        absl::StrCat("skopeo inspect --tls-verify=false ", credential, " docker://", server_.host(), "/ann/digits:1"));
  };
  EXPECT_THAT(inspect("--creds ann:secret"), HasSubstr("\"Digest\": \"sha256:"));
  EXPECT_THAT(inspect("--creds bob:secret"), HasSubstr("denied"));
  EXPECT_THAT(inspect("--creds ann:wrong"), HasSubstr("unauthorized"));
  EXPECT_THAT(inspect("--no-creds"), HasSubstr("unauthorized"));
}

TEST_F(TokenEndpointTest, AnswersOtherRequestsWithAReason) {
  const auto get = [&](const std::string& path, const std::string& method = "GET") {
    const auto answer = http_.Perform({.method = method, .url = absl::StrCat("http://", realm_, path)});
    EXPECT_TRUE(answer.ok()) << answer.status();
    return absl::StrCat(answer->status, " ", answer->body);
  };
  EXPECT_EQ(get("/"), R"(404 {"details":"only /token is here"})");
  EXPECT_EQ(get("/token"), R"(401 {"details":"wrong password"})");
  EXPECT_EQ(get("/token", "DELETE"), R"(400 {"details":"tokens are asked for by GET"})");
}

TEST_F(TokenEndpointTest, SlowAndManyConnectionsHoldUpNobody) {
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 8; ++i) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(endpoint_->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_TRUE(WriteAll(fd.get(), "GET /token HT").ok());
    idle.push_back(std::move(fd));
  }
  // Each is closed when its second is over.
  for (const UniqueFd& fd : idle) {
    char byte = 0;
    EXPECT_LE(read(fd.get(), &byte, 1), 0);
  }
  PutImage("ann/digits");
}

TEST(TokenEndpoint, SaysThatItCannotListen) {
  const SystemClock clock;
  const rpc::Certificate own = rpc::MakeCa("tokens", clock.Now()).value();
  const auto tokens = RegistryTokens::Create(own.key_pem, own.certificate_pem, clock);
  ASSERT_TRUE(tokens.ok());
  for (const char* address : {"localhost:1", "127.0.0.1", "127.0.0.1:x", "192.0.2.1:1"})
    EXPECT_FALSE(TokenEndpoint::Start({.address = address}, **tokens, nullptr).ok()) << address;
}

}  // namespace
}  // namespace riseml::builder
