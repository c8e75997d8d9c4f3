#include "services/common/oci/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace riseml::oci {
namespace {

using ::testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kOther = "sha256:" + std::string(64, 'b');

std::string Layers(int count, absl::string_view type = kOciLayerGzip) {
  std::string text;
  for (int i = 0; i < count; ++i)
    absl::StrAppend(&text, i == 0 ? "" : ",", R"({"mediaType":")", type, R"(","digest":")", kOther, R"(","size":7})");
  return text;
}

std::string OciManifest(absl::string_view layers) {
  return absl::StrCat(R"({"schemaVersion":2,"mediaType":")", kOciManifest, R"(","config":{"mediaType":")", kOciConfig,
                      R"(","digest":")", kDigest, R"(","size":100},"layers":[)", layers, "]}");
}

TEST(Manifest, IsReadAndWrittenAlike) {
  const std::string text = OciManifest(Layers(2));
  const auto parsed = ParseManifest(kOciManifest, text);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const Manifest& manifest = std::get<Manifest>(*parsed);
  EXPECT_EQ(manifest.config, (Descriptor{std::string(kOciConfig), kDigest, 100}));
  ASSERT_EQ(manifest.layers.size(), 2U);
  EXPECT_EQ(manifest.layers[1], (Descriptor{std::string(kOciLayerGzip), kOther, 7}));
  EXPECT_EQ(ToJson(manifest), text);
}

TEST(Manifest, RefusesWhatIsNotAnImage) {
  const auto replaced = [](absl::string_view from, absl::string_view to) {
    return absl::StrReplaceAll(OciManifest(Layers(1)), {{from, to}});
  };
  const struct {
    std::string type, json, why;
  } cases[] = {
      {std::string(kOciManifest), "", "not a JSON object"},
      {std::string(kOciManifest), "[1]", "not a JSON object"},
      {std::string(kOciManifest), std::string(100'000, '['), "not a JSON object"},
      {"text/html", R"({"a":1})", "'text/html' is not a manifest"},
      {std::string(kDockerManifest), OciManifest(Layers(1)), "says it is a"},
      {std::string(kOciManifest), R"({"layers":[]})", "no configuration"},
      {std::string(kOciManifest), OciManifest("{}"), "layer 1 has no valid sha256 digest"},
      {std::string(kOciManifest), replaced(R"("size":7)", R"("size":-1)"), "layer 1 has no valid size"},
      {std::string(kOciManifest), replaced(R"("size":7)", R"("size":"7")"), "layer 1 has no valid size"},
      {std::string(kOciManifest), replaced(R"("size":100)", R"("size":99999999)"), "larger than 4 MiB"},
      {std::string(kOciManifest), replaced(kOciConfig, "application/vnd.cncf.helm.config.v1+json"),
       "not one of a container image"},
      {std::string(kOciManifest), OciManifest(Layers(128)), "128 layers; Linux can stack 127"},
      {std::string(kOciManifest), OciManifest(Layers(1, kDockerLayerGzip)), "mixed"},
      {std::string(kOciManifest), OciManifest(Layers(1, "application/vnd.oci.image.layer.nondistributable.v1.tar")),
       "foreign"},
  };
  for (const auto& c : cases) {
    const auto parsed = ParseManifest(c.type, c.json);
    ASSERT_FALSE(parsed.ok()) << c.json.substr(0, 200);
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr(c.why));
  }
}

TEST(Index, GivesTheManifestOfThePlatform) {
  const auto entry = [](absl::string_view digest, absl::string_view platform) {
    return absl::StrCat(R"({"mediaType":")", kOciManifest, R"(","digest":")", digest, R"(","size":5,"platform":)",
                        platform, "}");
  };
  const std::string json =
      absl::StrCat(R"({"manifests":[)", entry(kDigest, R"({"os":"linux","architecture":"arm64","variant":"v8"})"), ",",
                   entry(kOther, R"({"os":"linux","architecture":"amd64"})"), ",",
                   entry(kOther, R"({"os":"unknown","architecture":"unknown"})"), "]}");
  const auto parsed = ParseManifest(kOciIndex, json);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const Index& index = std::get<Index>(*parsed);
  EXPECT_EQ(SelectPlatform(index, {"linux", "amd64", ""})->digest, kOther);
  EXPECT_EQ(SelectPlatform(index, {"linux", "arm64", "v8"})->digest, kDigest);
  const auto absent = SelectPlatform(index, {"linux", "riscv64", ""});
  EXPECT_EQ(absent.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(absent.status().message()), HasSubstr("only for linux/arm64/v8, linux/amd64"));
}

TEST(ImageConfig, ReadsWhatItsUseDependsOn) {
  const auto config = ParseImageConfig(
      R"({"os":"linux","architecture":"amd64","config":{"Env":["PATH=/bin"],"User":"5","WorkingDir":"/w","Cmd":["sh"],
          "Entrypoint":null},"rootfs":{"type":"layers","diff_ids":["sha256:1","sha256:2"]}})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->environment, std::vector<std::string>{"PATH=/bin"});
  EXPECT_EQ(config->user, "5");
  EXPECT_EQ(config->working_dir, "/w");
  EXPECT_EQ(config->command, std::vector<std::string>{"sh"});
  EXPECT_TRUE(config->entrypoint.empty());
  EXPECT_EQ(config->diff_ids.size(), 2U);
  EXPECT_FALSE(ParseImageConfig("{}").ok());
}

}  // namespace
}  // namespace riseml::oci
