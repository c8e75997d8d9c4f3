#include "services/common/oci/append.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "services/common/oci/digest.h"

namespace riseml::oci {
namespace {

using ::testing::HasSubstr;

Layer LayerOf(const std::string& tar, absl::string_view type = kOciLayerGzip) {
  return {{std::string(type), DigestOf(tar + " compressed"), 10}, DigestOf(tar)};
}

Image Base() {
  Image base;
  base.config_bytes =
      R"({"os":"linux","architecture":"amd64","created":"2024-01-02T03:04:05Z","unknown":[1,{"kept":true}],)"
      R"("config":{"Env":["PATH=/bin","A=1"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":[")" +
      DigestOf("base") + R"("]},"history":[{"created_by":"base"}]})";
  base.manifest.media_type = std::string(kOciManifest);
  base.manifest.config = {std::string(kOciConfig), DigestOf(base.config_bytes),
                          static_cast<std::int64_t>(base.config_bytes.size())};
  base.manifest.layers = {LayerOf("base").descriptor};
  return base;
}

TEST(AppendLayers, PutsLayersOnTop) {
  const absl::StatusOr<Image> image = AppendLayers(Base(), {LayerOf("one"), LayerOf("two")},
                                                   {.environment = {{"A", "2"}, {"B", "x=y"}},
                                                    .labels = {{"l", "v"}},
                                                    .working_dir = "/code",
                                                    .created_by = "code"});
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_EQ(image->manifest.layers.size(), 3U);
  EXPECT_EQ(image->manifest.layers[2], LayerOf("two").descriptor);
  const nlohmann::json config = nlohmann::json::parse(image->config_bytes);
  EXPECT_EQ(config["rootfs"]["diff_ids"][2], DigestOf("two"));
  EXPECT_EQ(config["config"]["Env"], nlohmann::json({"PATH=/bin", "A=2", "B=x=y"}));
  EXPECT_EQ(config["config"]["Cmd"], nlohmann::json({"sh"}));
  EXPECT_EQ(config["config"]["WorkingDir"], "/code");
  EXPECT_EQ(config["config"]["Labels"]["l"], "v");
  EXPECT_EQ(config["history"].size(), 3U);
  EXPECT_EQ(config["history"][2]["created"], "2024-01-02T03:04:05Z");
  EXPECT_EQ(config["unknown"][1]["kept"], true) << "members that are not known stay";
  EXPECT_EQ(image->manifest.config.digest, DigestOf(image->config_bytes));
  EXPECT_EQ(image->descriptor.digest, DigestOf(image->manifest_bytes));
  const auto parsed = ParseManifest(kOciManifest, image->manifest_bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
}

TEST(AppendLayers, IsDeterministic) {
  const ImageChanges changes{.working_dir = "/code", .created_by = "code"};
  EXPECT_EQ(AppendLayers(Base(), {LayerOf("one")}, changes)->descriptor,
            AppendLayers(Base(), {LayerOf("one")}, changes)->descriptor);
}

TEST(AppendLayers, RefusesWhatDoesNotFit) {
  const auto why = [](const Image& base, const std::vector<Layer>& layers) {
    return std::string(AppendLayers(base, layers, {}).status().message());
  };
  EXPECT_THAT(why(Base(), {LayerOf("x", kDockerLayerGzip)}), HasSubstr("cannot be mixed"));
  Image docker = Base();
  docker.manifest.media_type = std::string(kDockerManifest);
  EXPECT_THAT(why(docker, {LayerOf("x")}), HasSubstr("cannot be mixed"));
  EXPECT_EQ(why(docker, {LayerOf("x", kDockerLayerGzip)}), "");
  Image lies = Base();
  lies.manifest.layers.push_back(LayerOf("y").descriptor);
  EXPECT_THAT(why(lies, {}), HasSubstr("has 2 layers, but its configuration names 1"));
  Image none = Base();
  none.config_bytes = "{}";
  EXPECT_THAT(why(none, {}), HasSubstr("no rootfs.diff_ids"));
  EXPECT_THAT(why(Base(), std::vector<Layer>(127, LayerOf("x"))), HasSubstr("Use a base image with fewer layers"));
  EXPECT_EQ(why(Base(), std::vector<Layer>(126, LayerOf("x"))), "");
}

}  // namespace
}  // namespace riseml::oci
