// Calls of a registry whose answers are written down; registry_contract_test.cc calls a real one.
#include "services/common/oci/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/oci/append.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/testing/scripted_http.h"

namespace riseml::oci {
namespace {

using ::testing::HasSubstr;

class RegistryTest : public ::testing::Test {
 protected:
  Registry Make(RegistryOptions options = {}) {
    options.host = "r.example";
    options.tries = 3;
    options.first_pause = options.longest_pause = absl::Milliseconds(1);
    return Registry(http_, clock_, std::move(options));
  }
  static std::string Text(const absl::Status& status) { return std::string(status.message()); }

  oci::testing::ScriptedHttp http_;
  FakeClock clock_;
  const std::string content_ = "hello";
  const std::string digest_ = DigestOf(content_);
};

TEST_F(RegistryTest, GetsATokenWhenAskedForOne) {
  Registry registry = Make({.credential = Credential{"ann", "secret"}});
  http_.Answer(401, {{"www-authenticate", R"(Bearer realm="https://r.example/token",service="s")"}});
  http_.Answer(200, {}, R"({"token":"t","expires_in":300})");
  http_.Answer(200);
  EXPECT_TRUE(registry.HasBlob("a/b", digest_).value());
  http_.Answer(404);
  EXPECT_FALSE(registry.HasBlob("a/b", digest_).value());
  ASSERT_EQ(http_.calls().size(), 4U);
  EXPECT_EQ(http_.calls()[0].authorization, "");
  EXPECT_EQ(http_.calls()[2].authorization, "Bearer t");
  EXPECT_EQ(http_.calls()[3].authorization, "Bearer t") << "the next call has it at once";
  EXPECT_EQ(http_.calls()[3].url, absl::StrCat("https://r.example/v2/a/b/blobs/", digest_));
}

TEST_F(RegistryTest, TriesAgainWhileTheRegistryIsBusy) {
  Registry registry = Make();
  http_.Fail(absl::UnavailableError("connection reset"));
  http_.Answer(429);
  http_.Answer(200);
  EXPECT_TRUE(registry.HasBlob("a/b", digest_).value());
  for (int i = 0; i < 3; ++i) http_.Answer(503, {}, R"({"errors":[{"code":"X","message":"maintenance"}]})");
  const absl::Status gone = registry.HasBlob("a/b", digest_).status();
  EXPECT_TRUE(absl::IsUnavailable(gone));
  EXPECT_THAT(Text(gone), HasSubstr("r.example: status 503, \"maintenance\""));
  EXPECT_EQ(http_.calls().size(), 6U);
}

TEST_F(RegistryTest, DoesNotTryAgainBeforeTheRegistryWantsIt) {
  Registry registry = Make();
  http_.Answer(429, {{"retry-after", "90"}});
  EXPECT_THAT(Text(registry.HasBlob("a/b", digest_).status()),
              HasSubstr("status 429; it limits how often it may be called, try again in 1m30s"));
  EXPECT_EQ(http_.calls().size(), 1U);
}

TEST_F(RegistryTest, DoesNotTryAgainWhatIsRefused) {
  Registry registry = Make();
  const struct {
    int status;
    absl::StatusCode code;
  } cases[] = {{401, absl::StatusCode::kUnauthenticated},
               {403, absl::StatusCode::kPermissionDenied},
               {404, absl::StatusCode::kNotFound},
               {400, absl::StatusCode::kInvalidArgument},
               {418, absl::StatusCode::kInvalidArgument}};
  for (const auto& c : cases) {
    http_.Answer(c.status);
    EXPECT_EQ(registry.GetManifest("a", "1").status().code(), c.code) << c.status;
  }
  EXPECT_EQ(http_.calls().size(), std::size(cases));
}

TEST_F(RegistryTest, ChecksManifestsAgainstTheirDigest) {
  Registry registry = Make();
  http_.Answer(200, {{"content-type", std::string(kOciManifest)}, {"docker-content-digest", digest_}}, content_);
  EXPECT_EQ(registry.GetManifest("a", "1")->descriptor, (Descriptor{std::string(kOciManifest), digest_, 5}));
  http_.Answer(200, {{"content-type", std::string(kOciManifest)}}, "other");
  EXPECT_THAT(Text(registry.GetManifest("a", digest_).status()), HasSubstr("instead of sha256:"));
  http_.Answer(
      200,
      {{"content-type", std::string(kOciManifest)}, {"docker-content-digest", DigestOf("x")}, {"content-length", "5"}});
  EXPECT_THAT(Text(registry.FindManifest("a", digest_).status()), HasSubstr("in its place"));
}

TEST_F(RegistryTest, ChecksBlobsAgainstSizeAndDigest) {
  Registry registry = Make();
  const Descriptor blob{"", digest_, 5};
  http_.Answer(200, {}, content_);
  EXPECT_EQ(registry.GetBlob("a", blob).value(), content_);
  http_.Answer(200, {}, "hell!");
  EXPECT_THAT(Text(registry.GetBlob("a", blob).status()), HasSubstr("another size or digest"));
  http_.Answer(200, {}, "hel");
  EXPECT_THAT(Text(registry.GetBlob("a", blob).status()), HasSubstr("another size or digest"));
  http_.Answer(200, {}, "hello, and more");
  EXPECT_THAT(Text(registry.GetBlob("a", blob).status()), HasSubstr("larger than the 5 bytes"));
}

TEST_F(RegistryTest, FollowsRedirectsWithoutTheAuthorization) {
  Registry registry = Make({.credential = Credential{"ann", "secret"}});
  const Descriptor blob{"", digest_, 5};
  http_.Answer(401, {{"www-authenticate", "Basic realm=x"}});
  http_.Answer(307, {{"location", "https://storage.example/blob?signature=1"}});
  http_.Answer(200, {}, content_);
  EXPECT_EQ(registry.GetBlob("a", blob).value(), content_);
  EXPECT_NE(http_.calls()[1].authorization, "");
  EXPECT_EQ(http_.calls()[2].url, "https://storage.example/blob?signature=1");
  EXPECT_EQ(http_.calls()[2].authorization, "");

  http_.Answer(307, {{"location", "http://storage.example/blob"}});
  EXPECT_THAT(Text(registry.GetBlob("a", blob).status()), HasSubstr("without TLS"));
  for (int i = 0; i < 6; ++i) http_.Answer(302, {{"location", "/v2/again"}});
  EXPECT_THAT(Text(registry.GetBlob("a", blob).status()), HasSubstr("r.example: it redirects in circles"));
  http_.Answer(302, {{"location", "file:///etc/passwd"}});
  EXPECT_THAT(Text(registry.GetBlob("a", blob).status()), HasSubstr("no valid URL"));
}

TEST_F(RegistryTest, UploadsInOne) {
  Registry registry = Make();
  http_.Answer(202, {{"location", "/v2/a/blobs/uploads/1?state=x"}});
  http_.Answer(201);
  EXPECT_TRUE(registry.PutBlob("a", digest_, SourceOf(content_)).ok());
  EXPECT_EQ(http_.calls()[1].method, "PUT");
  EXPECT_EQ(http_.calls()[1].url, absl::StrCat("https://r.example/v2/a/blobs/uploads/1?state=x&digest=", digest_));
  EXPECT_EQ(http_.calls()[1].body, content_);
}

TEST_F(RegistryTest, BeginsAnUploadThatBrokeOffAnew) {
  Registry registry = Make();
  http_.Answer(202, {{"location", "/u/1"}});
  http_.Fail(absl::UnavailableError("connection reset"));
  http_.Answer(202, {{"location", "/u/2"}});
  http_.Answer(201);
  EXPECT_TRUE(registry.PutBlob("a", digest_, SourceOf(content_)).ok());
  EXPECT_EQ(http_.calls()[3].url, absl::StrCat("https://r.example/u/2?digest=", digest_));
  // What is sent must not go to another host.
  http_.Answer(202, {{"location", "https://evil.example/u/1"}});
  EXPECT_THAT(Text(registry.PutBlob("a", digest_, SourceOf(content_))), HasSubstr("another host, evil.example"));
}

TEST_F(RegistryTest, UploadsInPiecesAndGoesOnWhereTheRegistryIs) {
  Registry registry = Make({.chunk_bytes = 2});
  http_.Answer(202, {{"location", "/u/1"}});
  http_.Answer(202, {{"location", "/u/2"}, {"range", "0-1"}});
  http_.Answer(416, {{"range", "0-3"}});  // the piece had arrived before its answer was lost
  http_.Answer(202, {{"range", "0-4"}});
  http_.Answer(201);
  ASSERT_TRUE(registry.PutBlob("a", digest_, SourceOf(content_)).ok());
  ASSERT_EQ(http_.calls().size(), 5U);
  EXPECT_EQ(http_.calls()[1].body, "he");
  EXPECT_EQ(http_.calls()[2].url, "https://r.example/u/2");
  EXPECT_EQ(http_.calls()[3].body, "o");
  EXPECT_EQ(http_.calls()[4].url, absl::StrCat("https://r.example/u/2?digest=", digest_));
  // A registry that refuses forever ends the upload.
  http_.Answer(202, {{"location", "/u/1"}});
  for (int i = 0; i < 10; ++i) http_.Answer(416, {{"range", "0-1"}});
  EXPECT_FALSE(registry.PutBlob("a", digest_, SourceOf(content_)).ok());
}

TEST_F(RegistryTest, AMountThatIsNotDoneIsAnUpload) {
  Registry registry = Make();
  http_.Answer(201);
  EXPECT_TRUE(registry.MountBlob("a", digest_, "base").value());
  EXPECT_EQ(http_.calls()[0].url, absl::StrCat("https://r.example/v2/a/blobs/uploads/?mount=", digest_, "&from=base"));
  http_.Answer(202, {{"location", "/u/1"}});
  http_.Answer(204);
  EXPECT_FALSE(registry.MountBlob("a", digest_, "base").value());
  EXPECT_EQ(http_.calls()[2].method, "DELETE") << "the upload that was begun instead is ended";
  http_.Answer(400);
  EXPECT_FALSE(registry.MountBlob("a", digest_, "base").value());
  http_.Answer(403);
  EXPECT_FALSE(registry.MountBlob("a", digest_, "base").ok());
}

TEST_F(RegistryTest, ListsTagsPageByPage) {
  Registry registry = Make();
  http_.Answer(200, {{"link", R"(</v2/a/tags/list?last=2&n=1000>; rel="next")"}}, R"({"tags":["1","2"]})");
  http_.Answer(200, {}, R"({"tags":["3"]})");
  EXPECT_THAT(registry.ListTags("a", 100).value(), ::testing::ElementsAre("1", "2", "3"));
  http_.Answer(404);
  EXPECT_TRUE(registry.ListTags("a", 100)->empty());
  http_.Answer(200, {}, R"({"tags":null})");
  EXPECT_TRUE(registry.ListTags("a", 100)->empty());
  http_.Answer(200, {}, R"({"tags":["1","2","3"]})");
  EXPECT_EQ(registry.ListTags("a", 2)->size(), 2U);
}

TEST_F(RegistryTest, StopsWhenAsked) {
  Registry registry = Make({.first_pause = absl::Hours(1)});
  std::stop_source stop;
  stop.request_stop();
  http_.Fail(absl::UnavailableError("connection reset"));
  EXPECT_EQ(registry.HasBlob("a", digest_, stop.get_token()).status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace riseml::oci
