#include "services/builder/image/base_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/base/threads/pause.h"
#include "services/common/oci/digest.h"
#include "services/common/oci/testing/scripted_http.h"

namespace riseml::builder {
namespace {

using ::testing::HasSubstr;

class BaseImagesTest : public ::testing::Test {
 protected:
  BaseImages Make(RegistryPolicy policy = {}) {
    return BaseImages(http_, clock_, std::move(policy), {"linux", "amd64", ""});
  }
  std::string Why(const std::string& name, RegistryPolicy policy = {}) {
    return std::string(Make(std::move(policy)).Resolve(name, nullptr).status().message());
  }
  void AnswerManifest(const std::string& json, absl::string_view type) {
    http_.Answer(200, {{"content-type", std::string(type)}}, json);
  }

  const std::string config_ =
      R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:1"]}})";
  const std::string layer_ = oci::DigestOf("layer");
  const std::string manifest_ =
      absl::StrCat(R"({"schemaVersion":2,"config":{"mediaType":")", oci::kOciConfig, R"(","digest":")",
                   oci::DigestOf(config_), R"(","size":)", config_.size(), R"(},"layers":[{"mediaType":")",
                   oci::kOciLayerGzip, R"(","digest":")", layer_, R"(","size":1000}]})");
  const std::string index_ =
      absl::StrCat(R"({"manifests":[{"mediaType":")", oci::kOciManifest, R"(","digest":")", oci::DigestOf(manifest_),
                   R"(","size":)", manifest_.size(), R"(,"platform":{"os":"linux","architecture":"amd64"}}]})");
  oci::testing::ScriptedHttp http_;
  FakeClock clock_;
};

TEST_F(BaseImagesTest, ANameBecomesTheDigestForThePlatform) {
  AnswerManifest(index_, oci::kOciIndex);
  AnswerManifest(manifest_, oci::kOciManifest);
  http_.Answer(200, {}, config_);
  const absl::StatusOr<BaseImage> base = Make().Resolve("python:3.11", nullptr);
  ASSERT_TRUE(base.ok()) << base.status();
  EXPECT_EQ(base->reference.ToString(), absl::StrCat("docker.io/library/python:3.11@", oci::DigestOf(manifest_)));
  EXPECT_EQ(base->bytes, 1000);
  EXPECT_EQ(base->layers, 1U);
  EXPECT_EQ(http_.calls()[0].url, "https://registry-1.docker.io/v2/library/python/manifests/3.11");
  EXPECT_EQ(http_.calls()[1].url,
            absl::StrCat("https://registry-1.docker.io/v2/library/python/manifests/", oci::DigestOf(manifest_)));
}

TEST_F(BaseImagesTest, SaysWhichImageIsMissingAndWhy) {
  EXPECT_THAT(Why("Python"), HasSubstr("upper-case"));
  http_.Answer(404, {}, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})");
  EXPECT_THAT(Why("python:9"), HasSubstr("image docker.io/library/python:9 not found: "));
  http_.Answer(401);
  EXPECT_THAT(Why("team/private"), HasSubstr("does not exist, or docker.io wants a user and a password"));
  http_.Answer(401);
  const absl::Status refused = Make().Resolve("ghcr.io/a/b", nullptr).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << "it is not the API key of the user that is wrong: " << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("riseml registry login ghcr.io"));
  AnswerManifest(R"({"manifests":[]})", oci::kOciIndex);
  EXPECT_THAT(Why("python"), HasSubstr("does not exist for linux/amd64"));
  AnswerManifest("<html>", "text/html");
  EXPECT_THAT(Why("ghcr.io/a/b"), HasSubstr("image ghcr.io/a/b:latest: "));
}

// Answers nothing until it is stopped.
class SilentHttp final : public oci::HttpTransport {
 public:
  absl::StatusOr<oci::HttpAnswer> Perform(const oci::HttpRequest& request) override {
    while (Pause(request.stop, absl::Minutes(1))) continue;
    return absl::CancelledError("stopped");
  }
};

TEST_F(BaseImagesTest, NobodyWaitsLongForARegistry) {
  SilentHttp silent;
  BaseImages slow(silent, clock_, {}, {"linux", "amd64", ""}, nullptr, absl::Milliseconds(10));
  const absl::Status late = slow.Resolve("r.example/a", nullptr).status();
  EXPECT_EQ(late, absl::FailedPreconditionError("image r.example/a:latest: r.example is too slow, it was called for "
                                                "10ms; try again later"));
  BaseImages patient(silent, clock_, {}, {"linux", "amd64", ""});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(absl::IsCancelled(patient.Resolve("r.example/a", nullptr, stop.get_token()).status()));
}

TEST_F(BaseImagesTest, ABusyRegistryIsNotCalledAgainByClients) {
  http_.Answer(429, {{"retry-after", "3600"}});
  const absl::Status busy = Make().Resolve("r.example/a", nullptr).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(busy)) << busy;
  EXPECT_THAT(std::string(busy.message()), HasSubstr("image r.example/a:latest: "));
}

TEST_F(BaseImagesTest, RefusesRegistriesThatAreNotAllowed) {
  EXPECT_THAT(Why("evil.example/a", {.allowed = {"docker.io", "ghcr.io"}}),
              HasSubstr("only those of docker.io, ghcr.io"));
  EXPECT_TRUE(http_.calls().empty());
  AnswerManifest(manifest_, oci::kOciManifest);
  http_.Answer(200, {}, config_);
  EXPECT_EQ(Why("ghcr.io/a/b", {.allowed = {"docker.io", "ghcr.io"}}), "");
}

TEST_F(BaseImagesTest, SendsACredentialToItsRegistryOnly) {
  const oci::Credential ann{"ann", "secret"};
  http_.Answer(401, {{"www-authenticate", "Basic realm=x"}});
  AnswerManifest(manifest_, oci::kOciManifest);
  http_.Answer(200, {}, config_);
  BaseImages images = Make({.without_tls = {"r.example:5000"}});
  const absl::StatusOr<BaseImage> base = images.Resolve("r.example:5000/a/b:1", &ann);
  ASSERT_TRUE(base.ok()) << base.status();
  EXPECT_EQ(http_.calls()[0].url, "http://r.example:5000/v2/a/b/manifests/1");
  EXPECT_NE(http_.calls()[1].authorization, "");
  // Another user without the credential has nothing of it.
  http_.Answer(401, {{"www-authenticate", "Basic realm=x"}});
  EXPECT_EQ(images.Resolve("r.example:5000/a/b:1", nullptr).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(BaseImagesTest, RefusesAnImageOfAnotherPlatformThatHasNoIndex) {
  const std::string arm = R"({"os":"linux","architecture":"arm64","rootfs":{"type":"layers","diff_ids":[]}})";
  AnswerManifest(absl::StrCat(R"({"config":{"mediaType":")", oci::kOciConfig, R"(","digest":")", oci::DigestOf(arm),
                              R"(","size":)", arm.size(), R"(},"layers":[]})"),
                 oci::kOciManifest);
  http_.Answer(200, {}, arm);
  EXPECT_THAT(Why("python"), HasSubstr("exists for linux/arm64, not for linux/amd64"));
}

}  // namespace
}  // namespace riseml::builder
