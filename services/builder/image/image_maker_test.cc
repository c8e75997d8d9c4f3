// Images with code, in a real registry. What is sent is counted on the wire.
#include "services/builder/image/image_maker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "services/builder/image/image_fixture.h"
#include "services/common/oci/curl_http.h"
#include "services/common/oci/testing/registry_server.h"

namespace riseml::builder {
namespace {

using ::testing::HasSubstr;

// Counts the bytes that are sent.
class CountingHttp final : public oci::HttpTransport {
 public:
  explicit CountingHttp(const std::string& host) : http_({.private_hosts = {host}}) {}
  std::atomic<std::int64_t> sent = 0;
  std::atomic<int> calls = 0;
  absl::StatusOr<oci::HttpAnswer> Perform(const oci::HttpRequest& request) override {
    ++calls;
    if (request.body != nullptr) sent += request.body->size;
    return http_.Perform(request);
  }

 private:
  oci::CurlHttp http_;
};

class ImageMakerTest : public ::testing::Test {
 protected:
  ImageMakerTest() {
    base_ = PutImage(registry_, "envs/python", "1");
    code_.commits = {{"one", {"large", "print(1)"}}, {"two", {"large", "print(2)"}}, {"same", {"large", "print(1)"}}};
  }

  ImageRequest Request(const std::string& commit) const {
    return {"envs/python", base_.digest, "ann/digits", {"uid", commit}};
  }

  oci::testing::RegistryServer server_;
  SystemClock clock_;
  CountingHttp http_{server_.host()};
  oci::Registry registry_{http_, clock_, {.host = server_.host(), .plain_http = true}};
  oci::Descriptor base_;
  FakeCode code_;
  ImageMaker maker_{registry_, code_, SpoolDirectory()};
};

TEST_F(ImageMakerTest, PutsCodeOnTheBase) {
  const absl::StatusOr<oci::Descriptor> made = maker_.Make(Request("one"));
  ASSERT_TRUE(made.ok()) << made.status();
  const absl::StatusOr<oci::Image> image = oci::ReadImage(registry_, "ann/digits", made->digest, oci::OwnPlatform());
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->manifest.layers.size(), 3U);
  EXPECT_EQ(oci::ParseImageConfig(image->config_bytes)->working_dir, "/code");
  EXPECT_EQ(image->manifest.layers[2].media_type, oci::kOciLayerZstd);
}

TEST_F(ImageMakerTest, SendsWhatHasChangedOnly) {
  const oci::Descriptor first = maker_.Make(Request("one")).value();
  http_.sent = 0;
  EXPECT_EQ(maker_.Make(Request("one")).value(), first);
  EXPECT_EQ(maker_.Make(Request("same")).value(), first) << "another commit with the same code";
  EXPECT_EQ(http_.sent, 0);
  EXPECT_EQ(code_.reads, 2);
  const oci::Descriptor second = maker_.Make(Request("two")).value();
  EXPECT_NE(second, first);
  EXPECT_EQ(code_.reads, 3) << "of two layers one has changed";
  EXPECT_LT(http_.sent, 5'000) << "a layer of some bytes, a configuration and a manifest, but not the base";
}

TEST_F(ImageMakerTest, AFurtherImageCostsFewCallsAndARepeatedOneCall) {
  ASSERT_TRUE(maker_.Make(Request("one")).ok());
  http_.calls = 0;
  ASSERT_TRUE(maker_.Make(Request("one")).ok());
  EXPECT_EQ(http_.calls, 1);
}

TEST_F(ImageMakerTest, AnotherMakerMakesTheSameImageAndSendsNothing) {
  const oci::Descriptor first = maker_.Make(Request("one")).value();
  ImageMaker restarted(registry_, code_, SpoolDirectory());
  http_.sent = 0;
  EXPECT_EQ(restarted.Make(Request("one")).value(), first);
  EXPECT_EQ(http_.sent, 0);
}

TEST_F(ImageMakerTest, MakesAnImageAgainThatWasDeleted) {
  const oci::Descriptor first = maker_.Make(Request("one")).value();
  ASSERT_TRUE(registry_.DeleteManifest("ann/digits", first.digest).ok());
  EXPECT_EQ(maker_.Make(Request("one")).value(), first);
  EXPECT_TRUE(registry_.FindManifest("ann/digits", first.digest).ok());
}

TEST_F(ImageMakerTest, SaysWhatIsMissing) {
  EXPECT_EQ(maker_.Make(Request("absent")).status().code(), absl::StatusCode::kNotFound);
  ImageRequest request = Request("one");
  request.base_digest = oci::DigestOf("absent");
  const absl::Status status = maker_.Make(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("envs/python@sha256:"));
}

}  // namespace
}  // namespace riseml::builder
