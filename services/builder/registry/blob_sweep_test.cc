// Sweeps of the files of a registry in use: Debian's docker-registry.
#include "services/builder/registry/blob_sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "services/builder/image/image_fixture.h"
#include "services/common/oci/curl_http.h"
#include "services/common/oci/testing/registry_server.h"

namespace riseml::builder {
namespace {

namespace fs = std::filesystem;

class BlobSweepTest : public ::testing::Test {
 protected:
  SweptBlobs Sweep(absl::Duration later) {
    const auto swept = SweepBlobs(Root(), clock_.Now() + later);
    EXPECT_TRUE(swept.ok()) << swept.status();
    return swept.value_or(SweptBlobs());
  }
  // True if all blobs of an image can be read.
  bool IsWhole(const std::string& repository, const std::string& tag) {
    const auto image = oci::ReadImage(registry_, repository, tag, oci::OwnPlatform());
    return image.ok() && registry_.GetBlob(repository, image->manifest.layers[0]).ok();
  }
  std::string Root() const { return server_.directory() + "/data"; }

  const oci::testing::RegistryServer server_;
  SystemClock clock_;
  oci::CurlHttp http_{{.private_hosts = {server_.host()}}};
  oci::Registry registry_{http_, clock_, {.host = server_.host(), .plain_http = true}};
};

const absl::Duration kLater = kBlobAge + absl::Hours(1);

TEST_F(BlobSweepTest, WhatNoImageNamesGoesInTwoSweeps) {
  const oci::Descriptor gone = PutImage(registry_, "ann/gone", "1", {.content = Noise(50'000)});
  PutImage(registry_, "ann/kept", "1", {.content = Noise(60'000)});
  ASSERT_TRUE(registry_.DeleteManifest("ann/gone", gone.digest).ok());
  const SweptBlobs first = Sweep(kLater);
  EXPECT_EQ(first.links, 2) << "a layer and a configuration";
  EXPECT_EQ(first.blobs, 1) << "the manifest";
  const SweptBlobs swept = Sweep(kLater);
  EXPECT_EQ(swept.blobs, 2);
  EXPECT_GT(swept.bytes, 50'000);
  EXPECT_TRUE(IsWhole("ann/kept", "1"));
  EXPECT_EQ(Sweep(kLater).blobs, 0);
  PutImage(registry_, "ann/gone", "1", {.content = Noise(50'000)});
  EXPECT_TRUE(IsWhole("ann/gone", "1")) << "sent again";
}

TEST_F(BlobSweepTest, WhatAnotherRepositoryNamesStays) {
  const oci::Descriptor gone = PutImage(registry_, "ann/one", "1");
  PutImage(registry_, "bob/two", "1");
  ASSERT_TRUE(registry_.DeleteManifest("ann/one", gone.digest).ok());
  EXPECT_EQ(Sweep(kLater).links, 2);
  EXPECT_EQ(Sweep(kLater).blobs, 0) << "the two images have the same manifest";
  EXPECT_TRUE(IsWhole("bob/two", "1"));
  PutImage(registry_, "ann/one", "1");
  EXPECT_TRUE(IsWhole("ann/one", "1"));
}

TEST_F(BlobSweepTest, APushThatIsUnderWayKeepsItsLayers) {
  const std::string content = Noise(20'000);
  const oci::Descriptor blob{"", oci::DigestOf(content), static_cast<std::int64_t>(content.size())};
  ASSERT_TRUE(registry_.PutBlob("ann/new", blob.digest, oci::SourceOf(content)).ok());
  for (int i = 0; i < 2; ++i) {
    const SweptBlobs swept = Sweep(kBlobAge - absl::Hours(1));
    EXPECT_EQ(swept.links + swept.blobs, 0);
  }
  EXPECT_TRUE(registry_.HasBlob("ann/new", blob.digest).value());
}

TEST_F(BlobSweepTest, AManifestThatCannotBeReadStopsIt) {
  const oci::Descriptor gone = PutImage(registry_, "ann/gone", "1", {.content = Noise(50'000)});
  const oci::Descriptor kept = PutImage(registry_, "ann/kept", "1");
  ASSERT_TRUE(registry_.DeleteManifest("ann/gone", gone.digest).ok());
  const std::string hex = kept.digest.substr(7);
  const std::string path = Root() + "/docker/registry/v2/blobs/sha256/" + hex.substr(0, 2) + "/" + hex + "/data";
  fs::rename(path, path + ".away");
  fs::create_directory(path);
  EXPECT_FALSE(SweepBlobs(Root(), clock_.Now() + kLater).ok());
  fs::remove(path);
  fs::rename(path + ".away", path);
  EXPECT_EQ(Sweep(kLater).links, 2) << "nothing was removed before";
}

TEST_F(BlobSweepTest, ARegistryToWhichNobodyPushedIsFine) {
  EXPECT_EQ(SweepBlobs(server_.directory() + "/none", clock_.Now())->blobs, 0);
  std::stop_source stop;
  stop.request_stop();
  PutImage(registry_, "ann/one", "1");
  EXPECT_TRUE(absl::IsCancelled(SweepBlobs(Root(), clock_.Now(), stop.get_token()).status()));
}

}  // namespace
}  // namespace riseml::builder
